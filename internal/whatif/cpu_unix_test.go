//go:build unix

package whatif_test

import (
	"syscall"
	"testing"
	"time"
)

// cpuTime is what the process has used so far: on a busy machine the wall
// clock measures the others.
func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

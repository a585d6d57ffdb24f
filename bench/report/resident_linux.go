package report

import (
	"os"
	"syscall"
)

// MaxResident is the most memory in bytes that a finished process had.
func MaxResident(s *os.ProcessState) int64 {
	u, ok := s.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	return u.Maxrss << 10
}

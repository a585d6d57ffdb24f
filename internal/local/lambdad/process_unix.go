//go:build unix && !linux

package lambdad

import "syscall"

// processAttributes puts an instance into a process group of its own, so that
// its children end with it. Only Linux can end it with its parent.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

// peakMemory is read on Linux only; elsewhere memory is not limited.
func peakMemory(int64) (int64, bool) { return 0, false }

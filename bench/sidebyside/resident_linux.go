package main

import (
	"os"
	"syscall"
)

// maxResident is the most memory in bytes that a finished process had.
func maxResident(s *os.ProcessState) int64 {
	u, ok := s.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	return u.Maxrss << 10
}

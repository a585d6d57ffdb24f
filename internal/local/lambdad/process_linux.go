package lambdad

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
)

// processAttributes puts an instance into a process group of its own, so that
// its children end with it, and has the kernel end it with its parent.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// peakMemory returns the most resident memory, in bytes, that the process has
// held since it started. It returns false where the process is gone.
func peakMemory(pid int64) (int64, bool) {
	status, err := os.ReadFile("/proc/" + strconv.FormatInt(pid, 10) + "/status")
	if err != nil {
		return 0, false
	}
	_, rest, ok := bytes.Cut(status, []byte("\nVmHWM:")) // high water mark, in kB; see proc_pid_status(5)
	if !ok {
		return 0, false
	}
	fields := bytes.Fields(rest)
	if len(fields) == 0 {
		return 0, false
	}
	kilobytes, err := strconv.ParseInt(string(fields[0]), 10, 64)
	return kilobytes << 10, err == nil
}

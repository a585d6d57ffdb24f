//go:build !linux

package report

import "os"

// MaxResident is not known here.
func MaxResident(*os.ProcessState) int64 { return 0 }

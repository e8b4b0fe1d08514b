//go:build !linux && !darwin

package process

import "os"

// StartTime returns 0: here a PID is all that names a process. The error is
// that of a process that does not exist.
func StartTime(pid int) (uint64, error) {
	_, err := os.FindProcess(pid)
	return 0, err
}

//go:build !linux && !darwin

package process

import (
	"errors"
	"fmt"
	"os"
)

// StartTime returns 0: here a PID is all that names a process. The error is
// that of a process that does not exist.
func StartTime(pid int) (uint64, error) {
	if _, err := os.FindProcess(pid); err != nil {
		return 0, fmt.Errorf("process %d: %w: %w", pid, os.ErrProcessDone, err)
	}
	return 0, nil
}

func userOf(int) (real, effective int, err error) { return 0, 0, errors.ErrUnsupported }

// PIDInside returns pid: there are no PID namespaces here.
func PIDInside(pid int) (int, error) { return pid, nil }

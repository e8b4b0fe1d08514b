package process

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// StartTime returns when the process began, in microseconds of the system's
// clock. With the PID it names a process for good. Any error says that the process is gone: asking needs no descriptor, and of a process that is not there
// SysctlKinfoProc says EIO.
func StartTime(pid int) (uint64, error) {
	info, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil {
		return 0, fmt.Errorf("process %d: %w: %w", pid, os.ErrProcessDone, err)
	}
	const zombie = 5 // SZOMB in sys/proc.h
	if info.Proc.P_stat == zombie {
		return 0, fmt.Errorf("process %d: %w", pid, os.ErrProcessDone)
	}
	t := info.Proc.P_starttime
	return uint64(t.Sec)*1_000_000 + uint64(t.Usec), nil
}

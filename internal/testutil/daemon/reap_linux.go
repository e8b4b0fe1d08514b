package daemon

import "golang.org/x/sys/unix"

// adoptOrphans makes this process the parent of detached daemons, so that it can
// collect their exit status. In a container PID 1 may not.
func adoptOrphans() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }

// reapProcess collects the exit status of one process, and of no other: those of
// os/exec are not ours to take.
func reapProcess(pid int) { _, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil) }

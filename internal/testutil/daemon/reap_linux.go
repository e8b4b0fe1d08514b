package daemon

import "golang.org/x/sys/unix"

// AdoptOrphans makes this process the parent of detached daemons, so that it can
// collect their exit status. In a container PID 1 may not.
func AdoptOrphans() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }

// ReapProcess collects the exit status of one process, and of no other: those of
// os/exec are not ours to take.
func ReapProcess(pid int) { _, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil) }

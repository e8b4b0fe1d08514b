package upgrade_test

import "golang.org/x/sys/unix"

// adoptOrphans makes this process the parent of generations whose own parent is
// gone, so that it can wait for them: not every PID 1 does.
func adoptOrphans() error { return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }

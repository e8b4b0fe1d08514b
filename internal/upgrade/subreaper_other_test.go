//go:build unix && !linux

package upgrade_test

// adoptOrphans leaves them to PID 1.
func adoptOrphans() error { return nil }

// forkAndDie is for a test on Linux.
func forkAndDie() (forked int) { return 0 }

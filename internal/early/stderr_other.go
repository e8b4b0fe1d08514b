//go:build !unix

package early

// DetachedEnv is the variable by which a process knows that another waits until it is ready.
const DetachedEnv = "GOZD_DETACHED"

// StderrFile returns -1: nothing is kept of a process's standard error.
func StderrFile() int { return -1 }

// RestoreStderr does nothing.
func RestoreStderr(bool) int64 { return 0 }

// Write does nothing.
func Write(int, []byte) {}

//go:build unix

package process

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Watcher says by what this process is known to be one whose end somebody takes for that of the service: "" if nobody is known
// to watch it. A process that was detached is not watched, but for PID 1.
func Watcher() string {
	pid := os.Getpid()
	switch {
	case pid == 1:
		return "it is PID 1, with which its container ends"
	case IsDetached():
		return ""
	case os.Getenv("SYSTEMD_EXEC_PID") == strconv.Itoa(pid) || startedByOldSystemd(pid):
		return "systemd has started it, and takes its end for that of the service"
	case os.Getenv("NOTIFY_SOCKET") != "":
		return "NOTIFY_SOCKET is set, so somebody watches it as systemd does"
	}
	return ""
}

// startedByOldSystemd recognises what versions before 248 start, which do not set SYSTEMD_EXEC_PID. What such a
// process has started inherits INVOCATION_ID, and is neither a child of PID 1 nor the leader of a session.
func startedByOldSystemd(pid int) bool {
	if os.Getenv("INVOCATION_ID") == "" || os.Getenv("SYSTEMD_EXEC_PID") != "" || os.Getppid() != 1 {
		return false
	}
	session, err := unix.Getsid(0)
	return err == nil && session == pid
}

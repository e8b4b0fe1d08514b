package reexec

import (
	"os/exec"
	"syscall"
	"testing"
)

// Ordinary is [Command] for a role that root must not play: for root it is the user uid who does, without root's environment.
func Ordinary(tb testing.TB, role string, uid uint32) *exec.Cmd {
	tb.Helper()
	cmd := Command(tb, role)
	if syscall.Getuid() != 0 {
		return cmd
	}
	cmd.Path = "/proc/self/exe" // the test binary lies in a directory of root's
	cmd.Env = []string{Env + "=" + role, "GORACE=atexit_sleep_ms=0"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	return cmd
}

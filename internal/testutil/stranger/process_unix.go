//go:build unix

package stranger

import (
	"os"
	"os/exec"
	"syscall"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// UID is nobody's number on Debian.
const UID = 65534

// Process returns a process of another user's, which lives until the end of the test: nobody's for root, and root's for others.
func Process(tb testing.TB) (pid int, startTime uint64) {
	tb.Helper()
	pid = 1
	if os.Getuid() == 0 {
		cmd := exec.CommandContext(tb.Context(), "sleep", "60")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: UID, Gid: UID}}
		if err := cmd.Start(); err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { _ = cmd.Wait() }) // the context has killed it
		pid = cmd.Process.Pid
	}
	startTime, err := process.StartTime(pid)
	if err != nil {
		tb.Skip("another user's process cannot be looked at: ", err) // as with hidepid
	}
	return pid, startTime
}

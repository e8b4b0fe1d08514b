//go:build unix

package main

import (
	"os"
	"os/exec"
	"syscall"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// Nobody waits for another user's process because a daemon calls it an older generation.
func TestOlderGenerationsOfAnother(t *testing.T) {
	stranger := 1 // root's
	if os.Getuid() == 0 {
		cmd := exec.CommandContext(t.Context(), "sleep", "60")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Wait() }) // the context has killed it
		stranger = cmd.Process.Pid
	}
	var all []protocol.Generation
	for i, pid := range []int{stranger, os.Getpid()} {
		start, err := process.StartTime(pid)
		if err != nil {
			t.Skip(err)
		}
		all = append(all, protocol.Generation{Generation: i + 1, PID: pid, StartTime: start})
	}
	if got := own(all, "app.pid", os.Getuid()); len(got) != 1 || got[0].PID != os.Getpid() {
		t.Errorf("own = %+v, want this process alone", got)
	}
}

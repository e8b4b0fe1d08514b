package client_test

import (
	"os"
	"os/exec"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// sleeper starts a child that lives until the end of the test.
func sleeper(t *testing.T) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() }) // the context has killed it
	return cmd
}

// A daemon can name any process as its supervisor. It is believed where the one that answers descends from that, and who asks does not.
func TestSupervisorIsAnAncestor(t *testing.T) {
	const first = 1 // descends from nobody here
	self, generation, other := os.Getpid(), sleeper(t).Process.Pid, sleeper(t).Process.Pid
	start, err := process.StartTime(self)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name        string
		sees        bool
		said, asker int
		want        control.Process
	}{
		{"an ancestor", true, self, first, control.Process{PID: self, StartTime: start, Is: "the supervisor"}},
		{"nobody", true, 0, first, control.Process{}},
		{"a negative number", true, -self, first, control.Process{}},
		{"the first process of all", true, 1, other, control.Process{}},
		{"another process", true, other, first, control.Process{}},
		{"the generation itself", true, generation, first, control.Process{}},
		{"no process", true, 1 << 22, first, control.Process{}},
		{"who asks", true, self, self, control.Process{}},
		{"an ancestor of who asks", true, self, other, control.Process{}},
		{"an ancestor where processes cannot be seen", false, self, first, control.Process{}},
	} {
		if got := client.SupervisorOf(generation, test.sees, test.said, test.asker); got != test.want {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
	}
}

package process_test

import (
	"os"
	"os/exec"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

func TestDescends(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	child, self := cmd.Process.Pid, os.Getpid()
	for _, test := range []struct {
		pid, from int
		want      bool
	}{
		{child, self, true},
		{child, os.Getppid(), true},
		{self, child, false},
		{self, self, false},
		{child, child, false},
		{1, self, false},
		{self, 0, false},
		{1 << 22, self, false}, // no PID
	} {
		if got := process.Descends(test.pid, test.from); got != test.want {
			t.Errorf("Descends(%d, %d) = %v", test.pid, test.from, got)
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	if process.Descends(child, self) {
		t.Error("a child that is gone descends from this process")
	}
}

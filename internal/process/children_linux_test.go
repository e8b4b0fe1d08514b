package process_test

import (
	"errors"
	"os"
	"os/exec"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

func TestFindChild(t *testing.T) {
	const variable = "GOZD_TEST_CHILD"
	start := func(env ...string) *exec.Cmd {
		cmd := exec.Command("sleep", "60")
		cmd.Env = append(os.Environ(), env...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait() // killed
		})
		return cmd
	}
	start(variable + "_TOO=yes")
	if p, err := process.FindChild(variable); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("FindChild = %+v, %v, want none", p, err)
	}
	wanted := start(variable + "=yes")
	p, err := process.FindChild(variable)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if p.PID != wanted.Process.Pid {
		t.Errorf("FindChild = pid %d, want %d", p.PID, wanted.Process.Pid)
	}
}

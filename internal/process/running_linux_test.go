package process_test

import (
	"errors"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

func TestOpenWithAnotherStartTime(t *testing.T) {
	stranger := sleeper(t)
	start, err := process.StartTime(stranger.PID)
	if err != nil {
		t.Fatal(err)
	}
	for _, other := range []uint64{1, start - 1, start + 1} {
		if p, err := process.Open(stranger.PID, other); !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("Open of a process from %d as of %d = %+v, %v, want os.ErrProcessDone", start, other, p, err)
		}
	}
}

// A process that is dead and not waited for still has its PID.
func TestZombieIsDone(t *testing.T) {
	cmd := exec.Command("true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitUntilDead(t, cmd.Process.Pid)
	if start, err := process.StartTime(cmd.Process.Pid); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("StartTime = %d, %v, want os.ErrProcessDone", start, err)
	}
	if p, err := process.Open(cmd.Process.Pid, 0); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("Open = %+v, %v, want os.ErrProcessDone", p, err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// waitUntilDead waits for the end of a child and leaves it a zombie.
func waitUntilDead(t *testing.T, pid int) {
	t.Helper()
	var info unix.Siginfo
	for {
		err := unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOWAIT, nil)
		if err == nil {
			return
		}
		if !errors.Is(err, unix.EINTR) {
			t.Fatal(err)
		}
	}
}

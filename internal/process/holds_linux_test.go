package process_test

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// A state file may name any process of the daemon's user. Only one that has the lock is signalled: to have the lock file open, as a backup may, is not
// enough.
func TestOnlyWhoHasTheLockIsSignalled(t *testing.T) {
	path := pidfileIn(t)
	lock := acquire(t, path)
	open, err := os.Open(process.LockPath(path))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = open.Close() }()
	for _, tt := range []struct {
		name string
		has  *os.File
		want error
	}{
		{"a stranger", nil, process.ErrUntrusted},
		{"who reads the lock file", open, process.ErrUntrusted},
		{"who has the lock", lock.File(), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), "sleep", "60")
			if tt.has != nil {
				cmd.ExtraFiles = []*os.File{tt.has}
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			r := find(t, path, cmd.Process.Pid)
			defer r.Close()
			if err := r.Signal(syscall.SIGTERM); !errors.Is(err, tt.want) {
				t.Errorf("signal: %v, want %v", err, tt.want)
			}
			_ = cmd.Process.Kill()
			if ended := cmd.Wait(); (ended.Error() == "signal: terminated") != (tt.want == nil) {
				t.Errorf("it has ended by %v", ended)
			}
		})
	}
}

// find is Find, after the state file has named a process.
func find(t *testing.T, pidfile string, pid int) *process.Running {
	t.Helper()
	start, err := process.StartTime(pid)
	if err == nil {
		err = process.WriteState(pidfile, &process.State{PID: pid, StartTime: start, Generation: 1})
	}
	if err != nil {
		t.Fatal(err)
	}
	r, err := process.Find(pidfile)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// If another generation takes over between a look and the signal, whoever signals looks again.
func TestReplacedBeforeItsSignal(t *testing.T) {
	path := pidfileIn(t)
	acquire(t, path)
	r := find(t, path, sleeper(t).PID)
	defer r.Close()
	find(t, path, os.Getpid()).Close()
	if err := r.Signal(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("signal: %v, want that it serves no longer", err)
	}
}

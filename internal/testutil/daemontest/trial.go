package daemontest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
)

// BeginTrial asks for an upgrade, and returns when it is on probation.
func BeginTrial(t *testing.T, d *daemon.Daemon) (trial *process.Trial, outcome <-chan error) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		_, err := d.Upgrade(context.WithoutCancel(t.Context()))
		done <- err
	}()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		if s, err := d.State(); err == nil && s.Trial != nil {
			return s.Trial, done
		}
		if time.Now().After(deadline) {
			t.Fatal("no upgrade on probation after 30 s")
		}
	}
}

// WantRolledBack waits for an upgrade to fail with words, and checks that generation 1 serves
// alone and that the next upgrade works.
func WantRolledBack(t *testing.T, d *daemon.Daemon, trial *process.Trial, outcome <-chan error, words string) {
	t.Helper()
	err := <-outcome
	var failed *control.FailedError
	if !errors.As(err, &failed) || !strings.Contains(err.Error(), "failed at probation: pid ") || !strings.Contains(err.Error(), words) {
		t.Errorf("upgrade: %v, want that it failed at probation, and %q", err, words)
	}
	if p, err := process.Open(trial.PID, trial.StartTime); err == nil {
		p.Close()
		t.Error("the generation on probation still lives")
	}
	s, err := d.State()
	if err != nil || s.Generation != 1 || s.Trial != nil {
		t.Fatalf("state %+v, %v, want generation 1 and nothing on probation", s, err)
	}
	if pid, err := process.ReadPID(d.PIDFile); err != nil || pid != s.PID {
		t.Errorf("the PID file names %d, %v, want %d", pid, err, s.PID)
	}
}

package daemontest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
)

// BeginTrial asks for an upgrade, and returns when it is on probation: the new generation, until when, and later what has
// become of it.
func BeginTrial(t *testing.T, d *daemon.Daemon) (probation protocol.Generation, outcome <-chan error) {
	t.Helper()
	began, done := make(chan protocol.Generation, 1), make(chan error, 1)
	var next protocol.Generation
	go func() {
		_, err := d.UpgradeTelling(context.WithoutCancel(t.Context()), func(e protocol.Event) {
			switch e.Type {
			case protocol.Started:
				next = protocol.Generation{Generation: e.Generation, PID: e.PID, StartTime: e.StartTime}
			case protocol.OnProbation:
				next.State, next.Until = protocol.Probation, e.Until
				began <- next
			}
		})
		done <- err
	}()
	select {
	case probation = <-began:
	case err := <-done:
		t.Fatalf("the upgrade has not been on probation: %v", err)
	case <-time.After(30 * time.Second):
		t.Fatal("no upgrade on probation after 30 s")
	}
	return probation, done
}

// WantRolledBack waits for an upgrade to fail with words, and checks that generation 1 serves
// alone.
func WantRolledBack(t *testing.T, d *daemon.Daemon, probation protocol.Generation, outcome <-chan error, words string) {
	t.Helper()
	err := <-outcome
	var failed *client.UpgradeError
	if !errors.As(err, &failed) || !strings.Contains(err.Error(), "failed at probation: pid ") || !strings.Contains(err.Error(), words) {
		t.Errorf("upgrade: %v, want that it failed at probation, and %q", err, words)
	}
	if p, err := process.Open(probation.PID, probation.StartTime); err == nil {
		p.Close()
		t.Error("the generation on probation still lives")
	}
	now, err := d.Status(t.Context())
	if err != nil || now.Generation != 1 || len(now.Generations) != 1 || now.Upgrades.InProgress {
		t.Fatalf("status %+v, %v, want generation 1 and nothing on probation", now, err)
	}
	if pid, err := process.ReadPID(d.PIDFile); err != nil || pid != now.Generations[0].PID {
		t.Errorf("the PID file names %d, %v, want %d", pid, err, now.Generations[0].PID)
	}
}

//go:build unix

package faults

import (
	"context"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
)

// rollbacks are the ways to ask for a rollback.
var rollbacks = map[string]func(context.Context, *daemon.Daemon) error{
	"by signal": func(ctx context.Context, d *daemon.Daemon) error {
		_, err := control.Rollback(ctx, d.PIDFile)
		return err
	},
	"by socket": func(ctx context.Context, d *daemon.Daemon) error {
		c, err := client.Dial(ctx, d.PIDFile)
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Rollback(ctx)
		return err
	},
}

// awaitLastMoment waits until a probation is over, but for a time; if it has been missed, it does not matter.
func awaitLastMoment(t *testing.T, d *daemon.Daemon, than time.Duration) {
	t.Helper()
	before, err := d.State()
	for err == nil && before.Trial == nil {
		time.Sleep(time.Millisecond)
		var now *process.State
		if now, err = d.State(); err == nil && now.PID != before.PID {
			return
		}
		before = now
	}
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Until(before.Trial.Until.Add(than)))
}

// TestRollbackAtTheEndOfAProbation asks for one in the moment in which the probation is passed. Whoever asks is told what
// has happened: the generation before serves, or it does not.
func TestRollbackAtTheEndOfAProbation(t *testing.T) {
	for name, rollback := range rollbacks {
		t.Run(name, func(t *testing.T) {
			d := daemontest.Start(t, probationGroups, "probation 100ms")
			for i := range 20 {
				before, err := d.State()
				if err != nil {
					t.Fatal(err)
				}
				outcome := make(chan error, 1)
				go func() {
					_, err := d.Upgrade(context.WithoutCancel(t.Context()))
					outcome <- err
				}()
				awaitLastMoment(t, d, time.Duration(i-10)*time.Millisecond)
				said := rollback(t.Context(), d)
				failed := <-outcome
				after, err := d.State()
				if err != nil {
					t.Fatal(err)
				}
				if rolledBack := after.PID == before.PID; rolledBack != (said == nil) || rolledBack != (failed != nil) {
					t.Fatalf("the rollback says %v and the upgrade %v, and generation %d serves after %d", said, failed, after.Generation, before.Generation)
				}
			}
		})
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// A daemon without a control socket, of an older version for one, is asked by signals,
// and its state file says how it went. Whoever asks is told that this is so: it is
// less that the daemon can say.

// fallBack says why and how the daemon is asked instead.
func (a *app) fallBack(why error, instead string) {
	a.out.Signalled = true
	a.tell(fmt.Sprintf("%v: %s", why, instead))
}

func (a *app) upgradeBySignal(ctx context.Context, pidfile string, why error) error {
	a.fallBack(why, "sending SIGHUP, and watching "+process.StatePath(pidfile))
	p := progress{s: a.stderr}
	p.step("asking for the next generation", "…")
	up, err := control.Upgrade(ctx, pidfile)
	if err != nil {
		p.step("no success", "")
		p.end()
		return a.signalFailed(ctx, err)
	}
	p.step("ready in "+span(up.Took), "…")
	p.step(fmt.Sprintf("generation %d (pid %d) serves", up.New.Generation, up.New.PID), "")
	p.end()
	a.upgraded(&client.Upgraded{
		OldPID: up.Old.PID, OldGeneration: up.Old.Generation,
		Served: protocol.Event{Generation: up.New.Generation, PID: up.New.PID},
	}, up.Took)
	return nil
}

// signalFailed completes the report by what the state file has said.
func (a *app) signalFailed(ctx context.Context, err error) error {
	if failed := (*control.FailedError)(nil); errors.As(err, &failed) {
		a.out.Serving = &generation{PID: failed.PID, Generation: failed.Generation}
		a.out.Upgrade = &upgradeOutcome{Old: *a.out.Serving, Reason: failed.Reason}
		return err
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", err, context.Cause(ctx))
	}
	return err
}

// statusByFile is the status as far as the state file has it: of the generation that
// serves, and of one on probation.
func statusByFile(ctx context.Context, pidfile string) (*protocol.Status, error) {
	r, err := process.Await(ctx, pidfile)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return statusOfState(pidfile, r.State), nil
}

func statusOfState(pidfile string, s *process.State) *protocol.Status {
	status := &protocol.Status{
		PIDFile: pidfile, Config: s.Config, Generation: s.Generation,
		Upgrades: protocol.Upgrades{
			InProgress: s.Trial != nil, Succeeded: s.Generation - 1, Failed: s.Failures, LastFailure: s.LastFailure,
		},
		Generations: []protocol.Generation{{
			Generation: s.Generation, PID: s.PID, StartTime: s.StartTime, State: protocol.Serving, Since: s.Since, Binary: s.Binary,
		}},
	}
	if t := s.Trial; t != nil {
		status.Generations = append(status.Generations, protocol.Generation{
			Generation: s.Generation + 1, PID: t.PID, StartTime: t.StartTime, State: protocol.Probation, Until: t.Until,
		})
	}
	return status
}

// stopWait is how long the daemon may take to end.
func stopWait(pidfile string) time.Duration {
	const unsaid = 30 * time.Second
	s, err := process.ReadState(pidfile)
	if err != nil || s.StopWait <= 0 {
		return unsaid
	}
	return time.Duration(s.StopWait)
}

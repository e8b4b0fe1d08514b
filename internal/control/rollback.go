package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// ErrNoProbation means that no upgrade is on probation, or not any more.
var ErrNoProbation = errors.New("no upgrade is on probation")

// Rollback asks the generation that is on probation to end, and waits until the one
// before it serves alone again, whose state it returns. The error wraps
// [ErrNoProbation] where there was nothing to roll back, or the new generation took over
// meanwhile, and [ErrUnknownOutcome] when ctx is done before.
func Rollback(ctx context.Context, pidfile string) (*process.State, error) {
	r, err := process.Await(ctx, pidfile)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	before := r.State
	if before.Trial == nil {
		return nil, fmt.Errorf("pid %d: %w", before.PID, ErrNoProbation)
	}
	if err := signalTrial(r); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(before.StopWait)+time.Duration(before.UpgradeWait))
	defer cancel()
	return awaitRollback(ctx, pidfile, before)
}

// signalTrial asks the generation on probation to end. One that has ended already, by itself, has
// been rolled back or has taken over: the state file will say which. That file is the service's user's, so it
// must not name another's process.
func signalTrial(r *process.Running) error {
	p, err := r.OpenTrial()
	if err == nil {
		defer p.Close()
		err = p.Signal(sigRollback)
	}
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

func awaitRollback(ctx context.Context, pidfile string, before *process.State) (*process.State, error) {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		now, err := process.ReadState(pidfile)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("pid %d ended during the rollback: %w", before.PID, process.ErrNotRunning)
		case err != nil:
			return nil, err
		case now.PID != before.PID || now.StartTime != before.StartTime:
			return nil, fmt.Errorf("pid %d has taken over: %w", now.PID, ErrNoProbation)
		case now.Failures > before.Failures:
			return now, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("not rolled back yet: %w", ErrUnknownOutcome)
		}
	}
}

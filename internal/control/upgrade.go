package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// pollInterval is how often the state file is looked at.
const pollInterval = 10 * time.Millisecond

// ErrUnknownOutcome means that the time was over before the daemon said how the
// upgrade went. It may still succeed.
var ErrUnknownOutcome = errors.New("the outcome is not known yet")

// FailedError says that an upgrade failed, and that the generation that was asked
// for it serves on.
type FailedError struct {
	PID        int    // of the generation that serves on
	Generation int    // of the same
	Reason     string // in the daemon's own words
}

// Error implements error.
func (e *FailedError) Error() string {
	return fmt.Sprintf("%s; pid %d serves on", e.Reason, e.PID)
}

// Upgraded tells what an upgrade did.
type Upgraded struct {
	Old, New *process.State
	Took     time.Duration // from the request until the new generation was ready
}

// Upgrade asks the daemon for an upgrade and waits until a new generation is
// ready. It returns a *FailedError when the upgrade failed, and an error that
// wraps [ErrUnknownOutcome] when ctx, or the time that the daemon itself allows an
// upgrade, is over before.
func Upgrade(ctx context.Context, pidfile string) (*Upgraded, error) {
	start := time.Now()
	r, err := ask(ctx, pidfile, sigUpgrade)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	ctx, cancel := context.WithTimeout(ctx, time.Duration(r.State.UpgradeWait))
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		done, err := outcome(ctx, pidfile, r)
		if done != nil || err != nil {
			if done != nil {
				done.Took = time.Since(start)
			}
			return done, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("no new generation after %v: %w", time.Since(start).Round(time.Millisecond), ErrUnknownOutcome)
		}
	}
}

// stillServed returns an error if nobody holds the daemon's lock any more: the generation that was asked has
// passed it on and only drains, and the new one has ended before it could say anything.
func stillServed(ctx context.Context, pidfile string, old *process.State) error {
	r, err := process.Await(ctx, pidfile)
	if err == nil {
		r.Close()
	}
	if !errors.Is(err, process.ErrNotRunning) {
		return nil
	}
	if now, err := process.ReadState(pidfile); err != nil || now.PID != old.PID {
		return nil //nolint:nilerr // it has said something just now, which is read next
	}
	return fmt.Errorf("pid %d ended during the upgrade, or the successor to which it had passed the lock: %w", old.PID, process.ErrNotRunning)
}

// isServed reports whether a generation serves, or does so a moment later.
func isServed(ctx context.Context, pidfile string) bool {
	r, err := process.Await(ctx, pidfile)
	if err != nil {
		return false
	}
	r.Close()
	return true
}

// outcome looks whether the daemon has said how the upgrade went; both results
// are nil while it has not.
func outcome(ctx context.Context, pidfile string, before *process.Running) (*Upgraded, error) {
	now, err := process.ReadState(pidfile)
	if errors.Is(err, fs.ErrNotExist) { // it removes its files when it is asked to stop
		return nil, fmt.Errorf("pid %d ended during the upgrade: %w", before.PID, process.ErrNotRunning)
	}
	if err != nil {
		return nil, err
	}
	old := before.State
	switch {
	case now.PID != old.PID || now.StartTime != old.StartTime:
		p, err := process.Open(now.PID, now.StartTime)
		if err != nil && isServed(ctx, pidfile) {
			return nil, nil // the one before it has stood by, and says that it serves again
		}
		if err != nil {
			return nil, fmt.Errorf("the new generation has ended at once: %w", err)
		}
		p.Close()
		return &Upgraded{Old: old, New: now}, nil
	case now.Failures > old.Failures:
		return nil, &FailedError{PID: now.PID, Generation: now.Generation, Reason: now.LastFailure}
	}
	if p, err := process.Open(old.PID, old.StartTime); err == nil {
		p.Close()
		return nil, stillServed(ctx, pidfile, old)
	}
	// It may have been replaced and have ended since we read the file.
	if again, err := process.ReadState(pidfile); err == nil && again.PID != old.PID {
		return nil, nil
	}
	// Or it was killed, and the successor that it has started carries on alone: that
	// holds the lock then, and has not said yet that it serves.
	if r, err := process.Await(ctx, pidfile); !errors.Is(err, process.ErrNotRunning) {
		if err == nil {
			r.Close()
		}
		return nil, nil
	}
	return nil, fmt.Errorf("pid %d ended during the upgrade: %w", old.PID, process.ErrNotRunning)
}

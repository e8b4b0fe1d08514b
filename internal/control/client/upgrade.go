package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// UpgradeOptions say how to upgrade. The zero value stays until the old generation
// has drained.
type UpgradeOptions struct {
	// NoDrain returns as soon as the new generation serves.
	NoDrain bool

	dryRun bool // see [Client.DryRun]
}

// UpgradeWait is how long the daemon allows an upgrade to take until its outcome is known, by its state file, or two minutes
// where that does not say.
func UpgradeWait(pidfile string) time.Duration {
	const unsaid = 2 * time.Minute
	s, err := process.ReadState(pidfile)
	if err != nil || s.UpgradeWait <= 0 {
		return unsaid
	}
	return time.Duration(s.UpgradeWait)
}

// Upgraded tells what an upgrade did.
type Upgraded struct {
	OldPID        int // of the generation that was replaced
	OldGeneration int
	Served        protocol.Event  // the new one: Generation, PID, StartTime, Seconds
	Drained       *protocol.Event // how the old one ended; nil with NoDrain, or if it was killed
}

// Upgrade starts the newest binary as the next generation, and calls onEvent, if non-nil,
// with each event as it comes, in the caller's goroutine. If another upgrade is in
// progress it comes after that one, and is then asked of the generation which that one
// has brought up: PID says who is asked at the beginning. So it is if the generation that is asked has been replaced
// before it could answer.
//
// The error is an *[UpgradeError] when the upgrade failed, which may be after the new generation has served: if it dies
// while the old one drains, that one serves again, or, at stage "lost", nobody does. If the generation that was asked is killed, the daemon's files say
// what became of the upgrade: its successor serves a moment later, or nobody does, and the error wraps
// process.ErrNotRunning. The error wraps [ErrUnknownOutcome]
// when ctx ended before that was known, or more events came than any upgrade has. That does not end the upgrade.
func (c *Client) Upgrade(ctx context.Context, opts UpgradeOptions, onEvent func(protocol.Event)) (*Upgraded, error) {
	if onEvent == nil {
		onEvent = func(protocol.Event) {}
	}
	began := time.Now()
	a := &upgradeAttempt{Client: c, opts: opts, onEvent: onEvent, budget: newBudget()}
	up, again, err := a.run(ctx)
	for again {
		var next *Client
		if next, err = a.dialNext(ctx); err != nil {
			return nil, unknownIfOver(ctx, err)
		}
		a = &upgradeAttempt{Client: next, opts: opts, onEvent: onEvent, budget: a.budget, superseded: a.superseded}
		up, again, err = a.run(ctx)
	}
	if up != nil && up.Served.Seconds == 0 { // nobody was there to say it
		up.Served.Seconds = time.Since(began).Seconds()
	}
	return up, err
}

// dialNext returns a Client of the generation that serves by now. The upgrade that came first may have moved the PID file, and whoever says so can
// name any: another user's is not opened.
func (a *upgradeAttempt) dialNext(ctx context.Context) (*Client, error) {
	next, err := Dial(ctx, a.pidfile)
	to := a.last.PIDFile
	if !errors.Is(err, process.ErrNotRunning) || a.last.Type != protocol.Superseded || !filepath.IsAbs(to) || to == a.pidfile {
		return next, err
	}
	if _, toErr := process.ReadRecordOf(to, a.owner); toErr != nil && !process.IsUnsettled(toErr) {
		return nil, fmt.Errorf("%w; the PID file is said to be %s by now: %w", err, to, toErr)
	}
	next, err = Dial(ctx, to)
	if err == nil && next.owner != a.owner {
		return nil, fmt.Errorf("%s: the daemon is user %d's, and was user %d's: %w", to, next.owner, a.owner, process.ErrUntrusted)
	}
	return next, err
}

// DryRun starts the newest binary as Upgrade does, but that process ends when it is ready, and the daemon serves on as it is. It returns
// how that went: Generation, PID and Seconds. Errors are those of Upgrade.
func (c *Client) DryRun(ctx context.Context, onEvent func(protocol.Event)) (protocol.Event, error) {
	up, err := c.Upgrade(ctx, UpgradeOptions{dryRun: true}, onEvent)
	if err != nil {
		return protocol.Event{}, err
	}
	return up.Served, nil
}

// unknownIfOver marks the error of a look that ctx has ended.
func unknownIfOver(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
	}
	return err
}

// upgradeAttempt asks one generation.
type upgradeAttempt struct {
	*Client
	opts    UpgradeOptions
	onEvent func(protocol.Event)
	budget  *budget // of all attempts together

	last       protocol.Event
	up         *Upgraded
	started    bool // a process was started for this very request
	superseded int  // PID of the generation that has come first, as the caller knows
}

func (a *upgradeAttempt) apply(e protocol.Event) error {
	if e.Type != protocol.Superseded || e.PID != a.superseded {
		if err := a.budget.take(e.Type); err != nil {
			return err
		}
	}
	a.last = e
	switch e.Type {
	case protocol.Started:
		a.started = true
	case protocol.Served:
		a.up = a.upgraded(e)
	case protocol.Drained:
		if a.up != nil {
			a.up.Drained = &e
		}
	case protocol.Superseded:
		if e.PID == a.superseded {
			return nil // that generation's files do not name it yet, and the one before was asked again
		}
		a.superseded = e.PID
	}
	a.onEvent(e)
	return nil
}

func (a *upgradeAttempt) upgraded(served protocol.Event) *Upgraded {
	return &Upgraded{OldPID: a.pid, OldGeneration: a.generation, Served: served}
}

// run returns what the upgrade did, or that the generation which serves now is to be asked again.
func (a *upgradeAttempt) run(ctx context.Context) (up *Upgraded, again bool, err error) {
	path := protocol.PathUpgrade
	if a.opts.NoDrain {
		path += "?" + protocol.QueryDrain + "=" + protocol.No
	}
	if a.opts.dryRun {
		path = protocol.PathDryRun
	}
	err = a.stream(ctx, http.MethodPost, path, a.apply)
	var refused *AnswerError
	switch {
	case a.last.Type == protocol.Failed: // perhaps after it has served: then the old generation serves again
		return nil, false, a.failed(ctx)
	case a.last.Type == protocol.Passed && a.opts.dryRun:
		return a.passed(ctx)
	case a.up != nil && !a.opts.dryRun && (a.opts.NoDrain || a.last.Type == protocol.Drained):
		return a.served(ctx, err)
	case a.last.Type.Ends() && a.last.Type != protocol.Superseded:
		return nil, false, fmt.Errorf("%s: %w: an upgrade does not end by %q here", a.path, ErrProtocol, a.last.Type)
	case a.last.Type == protocol.Superseded:
		return nil, true, pause(ctx)
	case errors.As(err, &refused):
		// One that was dialled by its PID is meant itself.
		return nil, refused.Answer.Code == protocol.CodeNotServing && a.generation != 0 && a.isReplaced(), err
	case ctx.Err() != nil && a.up != nil && !a.opts.dryRun:
		return a.served(ctx, err)
	case ctx.Err() != nil, errors.Is(err, ErrPermission), errors.Is(err, ErrProtocol), errors.Is(err, process.ErrUntrusted):
		return nil, false, err
	}
	return a.lookAfter(ctx, err)
}

// pause waits a moment before the next look.
func pause(ctx context.Context) error {
	timer := time.NewTimer(dialInterval)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (c *Client) upgradeError(failed protocol.Event) *UpgradeError {
	return &UpgradeError{PID: c.pid, Generation: c.generation, Stage: failed.Stage, Failed: failed.PID, Reason: failed.Error}
}

// drainError is what remains of an error once the upgrade has succeeded: only the
// caller's own end of patience.
func drainError(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil {
		return nil
	}
	return fmt.Errorf("waiting for the old generation to drain: %w", context.Cause(ctx))
}

// Drain calls onEvent with each event of the generation's drain, until it has drained. It
// waits for one that serves to begin. The error is an *[UpgradeError] where the generation serves again, because its successor has
// died, and wraps [ErrUnknownOutcome] where it ended before it had said that it has drained.
func (c *Client) Drain(ctx context.Context, onEvent func(protocol.Event)) error {
	var last protocol.Event
	b := newBudget()
	err := c.stream(ctx, http.MethodGet, protocol.PathDrain, func(e protocol.Event) error {
		if err := b.take(e.Type); err != nil {
			return err
		}
		last = e
		onEvent(e)
		return nil
	})
	if err == nil && last.Type == protocol.Failed {
		return c.upgradeError(last)
	}
	if err == nil && last.Type != protocol.Drained {
		return fmt.Errorf("pid %d: the stream ended: %w", c.pid, ErrUnknownOutcome)
	}
	return err
}

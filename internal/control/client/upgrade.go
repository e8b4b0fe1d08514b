package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// UpgradeOptions say how to upgrade. The zero value stays until the old generation
// has drained.
type UpgradeOptions struct {
	// NoDrain returns as soon as the new generation serves.
	NoDrain bool
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
	OldPID  int             // of the generation that was replaced
	Served  protocol.Event  // the new one: Generation, PID, StartTime, Seconds
	Drained *protocol.Event // how the old one ended; nil with NoDrain, or if it was killed
}

// Upgrade starts the newest binary as the next generation, and calls onEvent, if non-nil,
// with each event as it comes, in the caller's goroutine. If another upgrade is in
// progress it comes after that one, and is then asked of the generation which that one
// has brought up: PID says who is asked at the beginning.
//
// The error is an *[UpgradeError] when the upgrade failed, which may be after the new generation has served: if it dies
// while the old one drains, that one serves again. The error wraps [ErrUnknownOutcome]
// when the stream, or ctx, ended before that was known. That does not end the upgrade.
func (c *Client) Upgrade(ctx context.Context, opts UpgradeOptions, onEvent func(protocol.Event)) (*Upgraded, error) {
	up, next, err := c.upgrade(ctx, opts, onEvent)
	for err == nil && up == nil {
		up, next, err = followUpgrade(ctx, c.pidfile, next, opts, onEvent)
	}
	return up, err
}

// followUpgrade asks the generation that an upgrade before this one has brought up.
func followUpgrade(ctx context.Context, pidfile string, to protocol.Event, opts UpgradeOptions, onEvent func(protocol.Event)) (*Upgraded, protocol.Event, error) {
	c, err := dial(ctx, pidfile, to.PID, to.StartTime, time.Now())
	if err != nil {
		return nil, protocol.Event{}, err
	}
	defer c.Close()
	return c.upgrade(ctx, opts, onEvent)
}

// upgrade returns what the upgrade did, or, where both that and the error are nil, the event
// that says whom to ask instead.
func (c *Client) upgrade(ctx context.Context, opts UpgradeOptions, onEvent func(protocol.Event)) (*Upgraded, protocol.Event, error) {
	path := protocol.PathUpgrade
	if opts.NoDrain {
		path += "?" + protocol.QueryDrain + "=" + protocol.No
	}
	var up *Upgraded
	var last protocol.Event
	err := c.stream(ctx, http.MethodPost, path, func(e protocol.Event) {
		last = e
		switch e.Type {
		case protocol.Served:
			up = &Upgraded{OldPID: c.pid, Served: e}
		case protocol.Drained:
			if up != nil {
				up.Drained = &e
			}
		}
		if onEvent != nil {
			onEvent(e)
		}
	})
	switch {
	case last.Type == protocol.Failed: // perhaps after it has served: then the old generation serves again
		return nil, last, c.upgradeError(last)
	case up != nil:
		return up, last, drainError(ctx, err)
	case last.Type == protocol.Superseded:
		return nil, last, nil
	case err == nil:
		return nil, last, fmt.Errorf("pid %d: the stream ended: %w", c.pid, ErrUnknownOutcome)
	}
	return nil, last, err
}

func (c *Client) upgradeError(failed protocol.Event) *UpgradeError {
	return &UpgradeError{PID: c.pid, Stage: failed.Stage, Failed: failed.PID, Reason: failed.Error}
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
	err := c.stream(ctx, http.MethodGet, protocol.PathDrain, func(e protocol.Event) {
		last = e
		onEvent(e)
	})
	if err == nil && last.Type == protocol.Failed {
		return c.upgradeError(last)
	}
	if err == nil && last.Type != protocol.Drained {
		return fmt.Errorf("pid %d: the stream ended: %w", c.pid, ErrUnknownOutcome)
	}
	return err
}

// stream calls onEvent with each event of a stream until its end. An error that
// comes once the request is on its way wraps ErrUnknownOutcome.
func (c *Client) stream(ctx context.Context, method, path string, onEvent func(protocol.Event)) error {
	resp, err := c.do(ctx, method, path)
	if err != nil {
		return c.streamError(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }()
	// The daemon's user may write without end: there may be any number of events, and none is long.
	body := &io.LimitedReader{R: resp.Body, N: maxEvent}
	for lines := json.NewDecoder(body); ; body.N = maxEvent {
		var e protocol.Event
		if err := lines.Decode(&e); err != nil {
			if body.N <= 0 {
				err = fmt.Errorf("%w: an event of more than %d bytes", ErrProtocol, maxEvent)
			}
			return c.streamError(ctx, endOfStream(err))
		}
		onEvent(e)
		if e.Type.Ends() {
			return nil
		}
	}
}

// endOfStream makes one error of the ways in which a stream ends without a last event.
func endOfStream(err error) error {
	if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	return fmt.Errorf("the stream ended: %w", err)
}

// streamError marks errors after which the daemon may still do what it was asked.
func (c *Client) streamError(ctx context.Context, err error) error {
	var refused *AnswerError
	switch {
	case errors.As(err, &refused), errors.Is(err, ErrNoSocket), errors.Is(err, ErrPermission), errors.Is(err, ErrProtocol):
		return err
	case ctx.Err() != nil:
		return fmt.Errorf("pid %d: %w: %w", c.pid, ErrUnknownOutcome, context.Cause(ctx))
	}
	return fmt.Errorf("pid %d: %w: %w", c.pid, ErrUnknownOutcome, err)
}

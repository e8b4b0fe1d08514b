package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
)

// stream calls onEvent with each event of a stream until its end, or until onEvent returns an error. An error that
// comes once the request is on its way wraps ErrUnknownOutcome.
func (c *Client) stream(ctx context.Context, method, path string, onEvent func(protocol.Event) error) error {
	resp, err := c.do(ctx, method, path)
	if err != nil {
		return c.streamError(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }()
	// The daemon's user may write without end: no event is long, and onEvent counts them.
	body := &io.LimitedReader{R: resp.Body, N: maxEvent}
	for lines := json.NewDecoder(body); ; body.N = maxEvent {
		var e protocol.Event
		if err := lines.Decode(&e); err != nil {
			if body.N <= 0 {
				err = fmt.Errorf("%w: an event of more than %d bytes", ErrProtocol, maxEvent)
			}
			err = endOfStream(err)
			if errors.Is(err, ErrProtocol) { // who has begun, and then says nonsense, may go on all the same
				return fmt.Errorf("pid %d: %w: %w", c.pid, ErrUnknownOutcome, err)
			}
			return c.streamError(ctx, err)
		}
		if err := onEvent(e); err != nil {
			return fmt.Errorf("pid %d: %w", c.pid, err)
		}
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

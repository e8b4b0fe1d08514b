package load

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"time"
)

// SlowOptions are the options of [NewSlow].
type SlowOptions struct {
	// Delay is how long the server is asked to think. If zero, 1 second.
	Delay time.Duration

	// Think is the most time that the user waits, for a random time, before
	// each exchange. If zero, there is no wait.
	Think time.Duration

	// Sent, if not nil, is called each time that a request has been sent.
	Sent func()
}

// Slow is the user whose requests take long, each on a new connection.
type Slow struct {
	link
	delay time.Duration
	path  string
	body  bytes.Buffer
}

// NewSlow returns a client that asks for /slow?d=Delay.
func NewSlow(t Target, o SlowOptions) (*Slow, error) {
	if err := t.validate(); err != nil {
		return nil, fmt.Errorf("slow: %w", err)
	}
	delay := o.Delay
	if delay == 0 {
		delay = time.Second
	}
	return &Slow{
		link:  link{kind: "slow", target: t, think: o.Think, expected: delay, sent: o.Sent},
		delay: delay,
		path:  "/slow?d=" + url.QueryEscape(delay.String()),
	}, nil
}

// Do gets /slow once; see [Client]. An answer that comes too early is a
// failure too: then it is not the one that was asked for.
func (c *Slow) Do(ctx context.Context) (Reply, error) {
	return c.exchange(ctx, func(ctx context.Context, r *Reply) error {
		start := time.Now()
		if err := c.getIdentity(ctx, c.path, r, &c.body); err != nil {
			return err
		}
		if took := time.Since(start); took < c.delay {
			return fmt.Errorf("answered after %v, asked for %v", took, c.delay)
		}
		return nil
	})
}

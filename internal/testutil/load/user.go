package load

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// failurePause is the least time between a failure and the user's next try. A
// server that is down would otherwise be measured by how fast it refuses.
const failurePause = 10 * time.Millisecond

// user is one client of a running load, and its successors after failures.
type user struct {
	load      *Load
	kind      string
	newClient func() (Client, error)
	share     float64 // of the interval, that passes before the first exchange
	client    Client  // nil before the first exchange and after a failure
	trace     []Exchange
}

// run does exchanges until the load stops.
func (u *user) run(ctx context.Context) {
	defer u.load.running.Add(-1)
	defer u.leave()
	interval := u.load.Interval
	next := time.Now().Add(time.Duration(u.share * float64(interval)))
	for u.mayBegin(next) {
		next = time.Now().Add(interval)
		if err := u.exchange(ctx); err != nil {
			u.leave()
			next = later(next, time.Now().Add(failurePause))
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// mayBegin waits for the time of the next exchange. It returns false, at once,
// when the load stops.
func (u *user) mayBegin(next time.Time) bool {
	stop := u.load.begin.Done()
	if d := time.Until(next); d > 0 {
		return !within(stop, d)
	}
	return u.load.begin.Err() == nil
}

// exchange does one exchange and records it. The load's stop does not reach
// into ctx, so only an exchange that overstays StopTimeout is cut.
func (u *user) exchange(ctx context.Context) error {
	start := time.Now()
	reply, err := u.do(ctx)
	if errors.Is(err, ErrNotSent) && u.load.begin.Err() != nil {
		return nil //nolint:nilerr // stopped while the user was thinking
	}
	if reply.Took == 0 {
		reply.Took = time.Since(start)
	}
	if u.load.Trace {
		u.note(reply, err)
	}
	u.load.rec.Record(u.kind, reply, err)
	return err
}

func (u *user) do(ctx context.Context) (Reply, error) {
	if u.client == nil {
		c, err := u.newClient()
		if err != nil {
			return Reply{}, fmt.Errorf("new client: %w", err)
		}
		u.client = c
	}
	return u.client.Do(ctx)
}

// leave closes the user's client. What Close says is of no interest: every
// exchange has been judged already.
func (u *user) leave() {
	if u.client != nil {
		u.client.Close()
		u.client = nil
	}
}

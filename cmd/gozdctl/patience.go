package main

import (
	"context"
	"fmt"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// patience bounds how long an answer is waited for.
type patience struct {
	cancel context.CancelCauseFunc
	timer  *time.Timer
	fixed  bool      // the operator has said how long
	latest time.Time // no renewal goes beyond it
}

// askTimeout is for questions that a daemon answers at once.
const askTimeout = 5 * time.Second

// newPatience returns a context that ends after the operator's --timeout, or else after
// wait. Its cause says so then; where ctx ends before, it says that gozdctl was
// interrupted.
func (a *app) newPatience(ctx context.Context, wait time.Duration) (context.Context, *patience) {
	bounded, cancel := context.WithCancelCause(context.WithoutCancel(ctx)) // so that the cause is always ours
	p := &patience{cancel: cancel, fixed: a.timeout > 0, latest: time.Now().Add(max(wait, process.MaxWait))}
	if p.fixed {
		wait = a.timeout
	}
	p.timer = time.AfterFunc(wait, func() {
		cancel(impatience("gozdctl has waited for " + span(wait)))
	})
	context.AfterFunc(ctx, func() { cancel(impatience("gozdctl was interrupted")) })
	return bounded, p
}

// renew has the time begin anew, because something was heard, unless it is the operator's. The whole takes a day at most: whoever is heard may
// be heard for ever.
func (p *patience) renew(wait time.Duration) {
	if !p.fixed {
		p.timer.Reset(min(wait, time.Until(p.latest)))
	}
}

// end releases what newPatience has taken.
func (p *patience) end() {
	p.timer.Stop()
	p.cancel(nil)
}

// impatience is the cause of the end of a context that newPatience has made.
func impatience(text string) error { return &markedError{mark: errPatience, text: text} }

// impatient says that the error comes from the end of patience, where it does: whatever a
// client makes of the end of a context. what is what could not be waited for.
func impatient(ctx context.Context, what string, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	return fmt.Errorf("%s: %w", what, context.Cause(ctx))
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

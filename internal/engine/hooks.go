package engine

import (
	"context"
	"fmt"
	"sync"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// hooks are the program's functions that this generation calls, each in a goroutine of its own. Nobody waits longer for one than it may
// take.
type hooks struct {
	*Options
	limit time.Duration // upgrade_timeout
	busy  chan struct{} // has a value while OnUpgrade runs
	only  onlys
}

// call returns what a hook returns, or the cause of ctx's end: a hook that does not look at ctx goes on alone.
func call(ctx context.Context, hook func(context.Context) error) error {
	answer := make(chan error, 1)
	go func() { answer <- hook(ctx) }()
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// mayUpgrade asks OnUpgrade. An error is an *upgrade.Error. A call that still runs when nobody waits for it any more keeps the next one
// waiting.
func (h *hooks) mayUpgrade(serves context.Context) error {
	if h.OnUpgrade == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(serves, h.limit)
	defer cancel()
	err := call(ctx, func(ctx context.Context) error {
		select {
		case h.busy <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		defer func() { <-h.busy }()
		return h.OnUpgrade(ctx)
	})
	if ctx.Err() != nil { // whatever it says now is too late
		err = fmt.Errorf("OnUpgrade has not returned after %v", h.limit)
	}
	if err != nil {
		return &upgrade.Error{Stage: upgrade.StageRefused, Err: err}
	}
	return nil
}

// isHealthy asks HealthCheck, for as long as limit, unless the parent is gone: then there is nobody to go back to.
func (h *hooks) isHealthy(limit time.Duration, parentGone <-chan struct{}) error {
	if h.HealthCheck == nil {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), limit, fmt.Errorf("no answer after %v", limit))
	defer cancel()
	answer := make(chan error, 1)
	go func() { answer <- call(ctx, h.HealthCheck) }()
	select {
	case err := <-answer:
		return err
	case <-parentGone:
		return nil
	}
}

// mayResume asks OnResume, once OnReplaced and OnDrain have returned. It waits for none of them once the daemon is to stop.
func (h *hooks) mayResume(t *term) error {
	asked, end := context.WithCancelCause(context.Background())
	defer end(nil)
	ctx, cancel := context.WithTimeoutCause(asked, h.limit, fmt.Errorf("not after %v", h.limit))
	defer cancel()
	go func() {
		select {
		case <-t.expedited.Done():
			end(errAskedToEnd)
		case <-ctx.Done():
		}
	}()
	select {
	case <-t.hooksReturned.Done():
	case <-ctx.Done():
		return fmt.Errorf("OnReplaced or OnDrain has not returned: %w", context.Cause(ctx))
	}
	if h.OnResume == nil {
		return nil
	}
	err := call(ctx, h.OnResume)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("OnResume has not returned: %w", context.Cause(ctx))
	}
	return err
}

// canResume reports whether the program can take back what it lets go of when it is replaced.
func (h *hooks) canResume() bool { return h.OnReplaced == nil || h.OnResume != nil }

// drainHookDelay is how long after a generation has stopped accepting OnDrain is called: so long it may take until the queue of a
// socket is empty, and then, as in internal/listener, until a client that has just been accepted has sent its first request. A server that is
// told to shut down before drops that.
const drainHookDelay = 2 * time.Second

// drain calls the hooks of a drain, when nothing is accepted any more. stand returns when this generation has stood by as long as it has to: a
// program that has shut down its server might not serve again.
func (h *hooks) drain(t *term, isReplaced bool, stand func()) {
	go func() {
		defer t.hooksOver.happen()
		var hooks sync.WaitGroup
		if h.OnReplaced != nil && isReplaced {
			hooks.Go(h.OnReplaced)
		}
		if h.OnDrain != nil {
			hooks.Go(func() { h.callOnDrain(t, stand) })
		}
		hooks.Wait()
		t.hooksReturned.happen()
		h.only.awaitReturned() // a generation that serves again need not wait for these
	}()
}

func (h *hooks) callOnDrain(t *term, stand func()) {
	timer := time.NewTimer(drainHookDelay)
	defer timer.Stop()
	stood := make(chan struct{})
	go func() {
		defer close(stood)
		stand()
	}()
	select {
	case <-stood:
	case <-t.skipped.Done():
		return
	}
	select {
	case <-timer.C:
	case <-t.early.Done():
	case <-t.skipped.Done():
	}
	if t.decideOnDrain() {
		h.OnDrain()
	}
}

// awaitDrained waits until OnReplaced, OnDrain and the runs of Only have returned, or this generation serves again, and reports false where
// they take longer than limit.
func (h *hooks) awaitDrained(limit context.Context, t *term, stand func()) bool {
	if t.hooksOver.has() { // it is looked at first: the time may be 0
		return true
	}
	select {
	case <-t.hooksOver.Done():
	case <-t.resumed.Done():
	case <-limit.Done():
		stand()
		returned := isWithin(exitGrace, func() { <-t.hooksOver.Done() }) // OnDrain may have been called only now
		t.hooksOver.happen()
		return returned
	}
	return true
}

// watchParent has OnParentExit called when its time has come.
func (h *hooks) watchParent(exited func() bool) {
	if h.OnParentExit == nil {
		return
	}
	go func() {
		if exited() {
			h.OnParentExit()
		}
	}()
}

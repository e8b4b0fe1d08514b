package engine

import (
	"context"
	"fmt"
	"sync"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// askProgram calls OnUpgrade. A nil error means that the upgrade may begin; any
// other is an *upgrade.Error.
func (e *Engine) askProgram() error {
	if e.opts.OnUpgrade == nil || !e.up.Supported() {
		return nil
	}
	limit := e.conf.Daemon.UpgradeTimeout
	ctx, cancel := context.WithTimeout(e.now().serves, limit)
	defer cancel()
	err := e.callOnUpgrade(ctx)
	if ctx.Err() != nil { // whatever it says now is too late
		err = fmt.Errorf("OnUpgrade has not returned after %v", limit)
	}
	if err != nil {
		return &upgrade.Error{Stage: upgrade.StageRefused, Err: err}
	}
	return nil
}

// callOnUpgrade returns what the hook returns, or nil when ctx has ended: a hook that
// does not look at ctx goes on alone, and the next call waits for it.
func (e *Engine) callOnUpgrade(ctx context.Context) error {
	select {
	case e.asking <- struct{}{}:
	case <-ctx.Done():
		return nil
	}
	answer := make(chan error, 1)
	go func() {
		defer func() { <-e.asking }()
		answer <- e.opts.OnUpgrade(ctx)
	}()
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return nil
	}
}

// drainHookDelay is how long after a generation has stopped accepting OnDrain is called: so long it may take until the queue of a
// socket is empty, and then, as in internal/listener, until a client that has just been accepted has sent its first request. A server that is
// told to shut down before drops that.
const drainHookDelay = 2 * time.Second

// callHooks calls the hooks of a drain, when nothing is accepted any more.
func (e *Engine) callHooks(t *term, isReplaced bool) {
	go func() {
		defer t.endHooks()
		defer close(t.hooksReturned)
		var hooks sync.WaitGroup
		if e.opts.OnReplaced != nil && isReplaced {
			hooks.Go(e.opts.OnReplaced)
		}
		if e.opts.OnDrain != nil {
			hooks.Go(func() { e.callOnDrain(t) })
		}
		hooks.Wait()
	}()
}

func (e *Engine) callOnDrain(t *term) {
	timer := time.NewTimer(drainHookDelay)
	defer timer.Stop()
	stood := make(chan struct{})
	go func() {
		defer close(stood)
		e.standAWhile(t) // a program that has shut down its server might not serve again
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
		e.opts.OnDrain()
	}
}

// askResume calls OnResume, once OnReplaced and OnDrain have returned. It waits for none of them once the daemon is to stop.
func (e *Engine) askResume(t *term) error {
	limit := e.conf.Daemon.UpgradeTimeout
	asked, end := context.WithCancelCause(context.Background())
	defer end(nil)
	defer context.AfterFunc(t.hurried, func() { end(errAskedToEnd) })()
	ctx, cancel := context.WithTimeoutCause(asked, limit, fmt.Errorf("not after %v", limit))
	defer cancel()
	select {
	case <-t.hooksReturned:
	case <-ctx.Done():
		return fmt.Errorf("OnReplaced or OnDrain has not returned: %w", context.Cause(ctx))
	}
	if e.opts.OnResume == nil {
		return nil
	}
	answer := make(chan error, 1)
	go func() { answer <- e.opts.OnResume(ctx) }()
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return fmt.Errorf("OnResume has not returned: %w", context.Cause(ctx))
	}
}

// drainHooks waits until OnReplaced and OnDrain have returned, as drainGroup does for connections.
func (e *Engine) drainHooks(limit context.Context, t *term, why reason) {
	select {
	case <-t.hooksOver.Done():
		return
	default: // it is looked at first: the time may be 0
	}
	select {
	case <-t.hooksOver.Done():
	case <-t.resumed:
	case <-limit.Done():
		e.standAWhile(t)
		if !isWithin(exitGrace, func() { <-t.hooksOver.Done() }) { // OnDrain may have been called only now
			e.log.Warn("OnReplaced or OnDrain has not returned", "reason", string(t.reason(why)))
			t.endHooks()
		}
	}
}

// watchParent has OnParentExit called when its time has come.
func (e *Engine) watchParent() {
	if e.opts.OnParentExit == nil {
		return
	}
	go func() {
		if e.awaitParentExit() {
			e.opts.OnParentExit()
		}
	}()
}

// awaitParentExit waits for the end of the previous generation, and reports whether
// it came before this one's.
func (e *Engine) awaitParentExit() bool {
	ancestors := e.up.Manifest().Ancestors
	if len(ancestors) == 0 {
		return true
	}
	select {
	case <-e.up.ParentExited():
	case <-e.done:
		return false
	}
	// Its descriptors are closed one by one, and the pipe that has told us is
	// not the last: the locks are gone for sure when the process is.
	return e.awaitGone(ancestors[len(ancestors)-1])
}

// awaitGone waits until a process that is about to be gone is, and reports whether
// that was before this generation's end.
func (e *Engine) awaitGone(a upgrade.Ancestor) bool {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		p, err := process.Open(a.PID, a.StartTime)
		if err != nil {
			return true
		}
		p.Close()
		select {
		case <-tick.C:
		case <-e.done:
			return false
		}
	}
}

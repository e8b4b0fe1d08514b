package gozd

import (
	"context"
	"fmt"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// askProgram calls OnUpgrade. A nil error means that the upgrade may begin; any
// other is an *upgrade.Error.
func (d *Daemon) askProgram() error {
	if d.opts.OnUpgrade == nil || !d.up.Supported() {
		return nil
	}
	limit := d.conf.Daemon.UpgradeTimeout
	ctx, cancel := context.WithTimeout(d.now().serves, limit)
	defer cancel()
	err := d.callOnUpgrade(ctx)
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
func (d *Daemon) callOnUpgrade(ctx context.Context) error {
	select {
	case d.asking <- struct{}{}:
	case <-ctx.Done():
		return nil
	}
	answer := make(chan error, 1)
	go func() {
		defer func() { <-d.asking }()
		answer <- d.opts.OnUpgrade(ctx)
	}()
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return nil
	}
}

// tellReplaced calls OnReplaced.
func (d *Daemon) tellReplaced(t *turn) {
	if d.opts.OnReplaced == nil {
		t.endHook()
		return
	}
	go func() {
		defer close(t.hookReturned)
		d.opts.OnReplaced()
		t.endHook()
	}()
}

// askResume calls OnResume, once OnReplaced has returned.
func (d *Daemon) askResume(t *turn) error {
	if d.opts.OnReplaced == nil {
		return nil
	}
	limit := d.conf.Daemon.UpgradeTimeout
	ctx, cancel := context.WithTimeoutCause(context.Background(), limit, fmt.Errorf("not after %v", limit))
	defer cancel()
	select {
	case <-t.hookReturned:
	case <-ctx.Done():
		return fmt.Errorf("OnReplaced has not returned: %w", context.Cause(ctx))
	}
	answer := make(chan error, 1)
	go func() { answer <- d.opts.OnResume(ctx) }()
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return fmt.Errorf("OnResume has not returned: %w", context.Cause(ctx))
	}
}

// drainHook waits until OnReplaced has returned, as drainGroup does for connections:
// of two calls the one with less time ends both.
func (d *Daemon) drainHook(t *turn, why reason) {
	timer := time.NewTimer(longest(d.conf, why))
	defer timer.Stop()
	select {
	case <-t.hookOver.Done():
		return
	default: // it is looked at first: the time may be 0
	}
	select {
	case <-t.hookOver.Done():
	case <-t.resumed:
	case <-timer.C:
		d.log.Warn("OnReplaced has not returned", "reason", string(why))
		t.endHook()
	}
}

// watchParent has OnParentExit called when its time has come.
func (d *Daemon) watchParent() {
	if d.opts.OnParentExit == nil {
		return
	}
	go func() {
		if d.awaitParentExit() {
			d.opts.OnParentExit()
		}
	}()
}

// awaitParentExit waits for the end of the previous generation, and reports whether
// it came before this one's.
func (d *Daemon) awaitParentExit() bool {
	ancestors := d.up.Manifest().Ancestors
	if len(ancestors) == 0 {
		return true
	}
	select {
	case <-d.up.ParentExited():
	case <-d.done:
		return false
	}
	// Its descriptors are closed one by one, and the pipe that has told us is
	// not the last: the locks are gone for sure when the process is.
	return d.awaitGone(ancestors[len(ancestors)-1])
}

// awaitGone waits until a process that is about to be gone is, and reports whether
// that was before this generation's end.
func (d *Daemon) awaitGone(a upgrade.Ancestor) bool {
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
		case <-d.done:
			return false
		}
	}
}

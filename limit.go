package gozd

import (
	"context"
	"fmt"
	"os"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// killWait is how long a process that is killed may take to be gone. It takes milliseconds, unless the kernel is busy with it.
const killWait = 10 * time.Second

// makePlace ends the oldest generations where with the next one more would live than max_generations says, and waits for that. One that
// does not end within stop_timeout, as it is stopped or hangs, is killed.
func (d *Daemon) makePlace(stopped context.Context, a *attempt, announce func()) error {
	alive := d.endable()
	tooMany := max(len(alive)+2-d.conf.Daemon.MaxGenerations, 0) // this one, and the next
	for _, old := range alive[:min(tooMany, len(alive))] {
		announce() // this takes longer than whoever watches may expect
		d.log.Warn("max_generations live: the oldest is ended first", "ancestor", old.PID, "max_generations", d.conf.Daemon.MaxGenerations)
		a.tell(protocol.Event{Type: protocol.EndingOldest, Generation: old.Generation, PID: old.PID, Seconds: d.stopWait().Seconds()})
		if err := d.endAncestor(stopped, old); err != nil {
			return &upgrade.Error{Stage: upgrade.StageRefused, Err: err}
		}
	}
	return nil
}

// endable are the older generations that can be ended: not one that is the supervisor, too.
func (d *Daemon) endable() []upgrade.Ancestor {
	var alive []upgrade.Ancestor
	for _, a := range d.livingAncestors() {
		if a.PID != d.super.PID() {
			alive = append(alive, a)
		}
	}
	return alive
}

// endAncestor asks an older generation to end, and kills it when its time is over.
func (d *Daemon) endAncestor(ctx context.Context, a upgrade.Ancestor) error {
	d.signalAncestor(a, sigStop)
	if isGone(ctx, a, d.stopWait()) || ctx.Err() != nil {
		return ctx.Err()
	}
	d.log.Warn("the oldest generation has not ended: it is killed", "ancestor", a.PID)
	d.signalAncestor(a, os.Kill)
	if isGone(ctx, a, killWait) {
		return nil
	}
	return fmt.Errorf("max_generations %d live, and generation %d (pid %d) does not end", d.conf.Daemon.MaxGenerations, a.Generation, a.PID)
}

// isGone waits until the process is gone, and reports whether it is.
func isGone(ctx context.Context, a upgrade.Ancestor, within time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		p, err := process.Open(a.PID, a.StartTime)
		if err != nil {
			return true
		}
		p.Close()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
}

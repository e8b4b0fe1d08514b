package engine

import (
	"context"
	"fmt"
	"os"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/peers"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// killWait is how long a process that is killed may take to be gone. It takes milliseconds, unless the kernel is busy with it.
const killWait = 10 * time.Second

// keepBound ends the oldest generations where more live than max_generations says, and waits for that. One that
// does not end within stop_timeout, as it is stopped or hangs, is killed. A generation does so when it serves, and not before: one that
// does not come up costs nobody anything. It does so again before it starts the next, should one have been in the way.
func (e *Engine) keepBound(stopped context.Context) error {
	alive := e.endable()
	tooMany := max(len(alive)+1-e.conf.Daemon.MaxGenerations, 0) // with this one
	for _, old := range alive[:min(tooMany, len(alive))] {
		e.log.Warn("more than max_generations live: the oldest is ended", "ancestor", old.PID, "max_generations", e.conf.Daemon.MaxGenerations)
		if err := e.endAncestor(stopped, old); err != nil {
			return &upgrade.Error{Stage: upgrade.StageRefused, Err: err}
		}
	}
	return nil
}

// keepBoundNow is keepBound for a generation that has just begun to serve; the next upgrade waits for it.
func (e *Engine) keepBoundNow() {
	e.attempts.slot.Lock()
	defer e.attempts.slot.Unlock()
	if !e.life.is(serving) {
		return
	}
	t := e.life.now()
	if err := e.keepBound(t.serves); err != nil && t.serves.Err() == nil {
		e.log.Warn("too many generations", "error", err)
	}
}

// endable are the older generations that can be ended: not one that is the supervisor, too.
func (e *Engine) endable() []peers.Peer {
	var alive []peers.Peer
	for _, a := range peers.Living(e.up.Manifest().Ancestors) {
		if a.PID != e.super.client.PID() {
			alive = append(alive, a)
		}
	}
	return alive
}

// endAncestor asks an older generation to end, and kills it when its time is over.
func (e *Engine) endAncestor(ctx context.Context, a peers.Peer) error {
	signalPeer(e.log, a, sigStop)
	if isGone(ctx, a, e.stopWait()) || ctx.Err() != nil {
		return ctx.Err()
	}
	e.log.Warn("the oldest generation has not ended: it is killed", "ancestor", a.PID)
	signalPeer(e.log, a, os.Kill)
	if isGone(ctx, a, killWait) {
		return nil
	}
	return fmt.Errorf("more than max_generations %d live, and generation %d (pid %d) does not end", e.conf.Daemon.MaxGenerations, a.Generation, a.PID)
}

// isGone waits until a generation is gone, and reports whether it is.
func isGone(ctx context.Context, p peers.Peer, within time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	return p.AwaitEnd(ctx)
}

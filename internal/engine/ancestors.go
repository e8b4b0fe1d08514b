package engine

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/peers"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// ancestors are the generations before this one, the oldest first, some of which may still live. It is a value: the list never changes.
type ancestors struct {
	all        []peers.Peer
	supervisor int           // the PID of the supervisor, which may be one of them; 0 for none
	limit      int           // of generations that live, this one included
	wait       time.Duration // until one that has been asked to end is killed
	log        *slog.Logger
}

func (a ancestors) living() []peers.Peer { return peers.Living(a.all) }

// signal passes a signal on to those that still live. Only the serving generation does: it is the one that the PID file names, and each of
// the others has been told by then.
func (a ancestors) signal(sig os.Signal) {
	for _, p := range a.all {
		signalPeer(a.log, p, sig)
	}
}

// killWait is how long a process that is killed may take to be gone. It takes milliseconds, unless the kernel is busy with it.
const killWait = 10 * time.Second

// keepBound ends the oldest generations where more live than may, and waits for that. One that
// does not end in time, as it is stopped or hangs, is killed. A generation does so when it serves, and not before: one that
// does not come up costs nobody anything. It does so again before it starts the next, should one have been in the way. It returns early when
// this generation serves no longer.
func (a ancestors) keepBound(serves context.Context) error {
	alive := a.endable()
	tooMany := max(len(alive)+1-a.limit, 0)
	for _, old := range alive[:min(tooMany, len(alive))] {
		a.log.Warn("more than max_generations live: the oldest is ended", "ancestor", old.PID, "max_generations", a.limit)
		if err := a.end(serves, old); err != nil {
			return &upgrade.Error{Stage: upgrade.StageRefused, Err: fmt.Errorf("more than max_generations %d live: %w", a.limit, err)}
		}
	}
	return nil
}

// keepBoundNow is keepBound for a generation that has just begun to serve; the next upgrade waits for it.
func (a ancestors) keepBoundNow(l *life, upgrading sync.Locker) {
	upgrading.Lock()
	defer upgrading.Unlock()
	if !l.is(serving) {
		return
	}
	t := l.now()
	if err := a.keepBound(t.serves); err != nil && t.serves.Err() == nil {
		a.log.Warn("too many generations", "error", err)
	}
}

// endable are the older generations that can be ended: not one that is the supervisor, too.
func (a ancestors) endable() []peers.Peer {
	var alive []peers.Peer
	for _, p := range a.living() {
		if p.PID != a.supervisor {
			alive = append(alive, p)
		}
	}
	return alive
}

// end asks an older generation to end, and kills it when its time is over.
func (a ancestors) end(ctx context.Context, old peers.Peer) error {
	signalPeer(a.log, old, sigStop)
	if isGone(ctx, old, a.wait) || ctx.Err() != nil {
		return ctx.Err()
	}
	a.log.Warn("the oldest generation has not ended: it is killed", "ancestor", old.PID)
	signalPeer(a.log, old, os.Kill)
	if isGone(ctx, old, killWait) {
		return nil
	}
	return fmt.Errorf("generation %d (pid %d) does not end", old.Generation, old.PID)
}

// isGone waits until a generation is gone, and reports whether it is.
func isGone(ctx context.Context, p peers.Peer, within time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	return p.AwaitEnd(ctx)
}

// awaitParent waits for the end of the parent, of which exited tells, and reports whether it came before done.
func (a ancestors) awaitParent(exited, done <-chan struct{}) bool {
	if len(a.all) == 0 {
		return true
	}
	select {
	case <-exited:
	case <-done:
		return false
	}
	// Its descriptors are closed one by one, and the pipe that has told us is
	// not the last: the locks are gone for sure when the process is.
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-done:
			cancel()
		case <-ctx.Done():
		}
	}()
	return a.all[len(a.all)-1].AwaitEnd(ctx)
}

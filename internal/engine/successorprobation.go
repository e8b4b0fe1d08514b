package engine

import (
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/peers"
)

// candidate is a successor that serves beside this generation, on probation.
type candidate struct {
	peers.Peer
	until time.Time // then its health check begins

	over   chan struct{} // closed when its probation is over
	passed bool          // it serves; set before that
}

// Rollback ends the upgrade that is on probation, and returns when that is so.
func (e *Engine) Rollback() error {
	next := e.attempts.candidate()
	if next == nil {
		return ErrNoProbation
	}
	signalPeer(e.log, next.Peer, sigRollback)
	<-next.over
	if next.passed || !e.life.is(serving) {
		return ErrNoProbation
	}
	return nil
}

// probationBegan is called when the successor has begun to serve beside this process.
func (e *Engine) probationBegan(a *attempt, pid int, lasts time.Duration) {
	c := &candidate{Peer: a.next, until: time.Now().Add(lasts), over: make(chan struct{})}
	e.attempts.mu.Lock()
	a.candidate = c
	e.attempts.mu.Unlock()
	e.log.Info("successor on probation", "successor", pid, "for", lasts)
}

// probationEnded is called when the outcome of an upgrade is known.
func (e *Engine) probationEnded(a *attempt, passed bool) {
	e.attempts.mu.Lock()
	defer e.attempts.mu.Unlock()
	if c := a.candidate; c != nil {
		c.passed, a.candidate = passed, nil
		close(c.over)
	}
}

// abandonProbation has the generation on probation end before this one does. It is not
// killed, and so clients that it serves are not either.
func (e *Engine) abandonProbation() {
	next := e.attempts.candidate()
	if next == nil {
		return
	}
	signalPeer(e.log, next.Peer, sigRollback)
	timer := time.NewTimer(e.stopWait())
	defer timer.Stop()
	select {
	case <-next.over:
	case <-timer.C:
	}
}

package engine

import (
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/peers"
	"os"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/handover"
)

// candidate is a successor that serves beside this generation, on probation.
type candidate struct {
	peers.Peer
	until time.Time // then its health check begins

	over   chan struct{} // closed when its probation is over
	passed bool          // it serves; set before that
}

// fileReturn is the name under which the channel goes to the next generation by which it
// gives connections back if it is rolled back.
const fileReturn = "return"

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

// returnChannel is this generation's side of the way back, and the end for the next.
type returnChannel struct {
	receiver *handover.Receiver
	theirs   *os.File
}

// offerReturn has the next generation given a channel on which it can give connections
// back. Without probation it needs none.
func (e *Engine) offerReturn() *returnChannel {
	if e.conf.Daemon.Probation <= 0 {
		return nil
	}
	c, err := openReturn(e.groups.Taker())
	if err != nil {
		e.log.Warn("connections will not move back, should the upgrade be rolled back", "error", err)
		return nil
	}
	e.up.Pass(fileReturn, c.theirs)
	return c
}

func openReturn(keys []string, adopt handover.Taker) (*returnChannel, error) {
	receiver, err := handover.NewReceiver(keys, adopt)
	if err != nil {
		return nil, err
	}
	ours, theirs, err := handover.Pair()
	if err != nil {
		return nil, err
	}
	if err := receiver.Add(ours); err != nil {
		_ = theirs.Close()
		return nil, err
	}
	return &returnChannel{receiver: receiver, theirs: theirs}, nil
}

// closeReturn ends what offerReturn began. A successor that has been rolled back has
// ended, and all that it gave back is here.
func (e *Engine) closeReturn(c *returnChannel) {
	if c == nil {
		return
	}
	e.up.Pass(fileReturn, nil)
	_ = c.theirs.Close()
	c.receiver.Close()
}

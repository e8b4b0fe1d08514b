package gozd

import (
	"errors"
	"os"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/handover"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// candidate is a successor that serves beside this generation, on probation.
type candidate struct {
	pid       int
	startTime uint64
	until     time.Time // then its health check begins
}

// fileReturn is the name under which the channel goes to the next generation by which it
// gives connections back if it is rolled back.
const fileReturn = "return"

// ErrNoProbation is returned by Rollback when no upgrade is on probation.
var ErrNoProbation = errors.New("gozd: no upgrade is on probation")

// Rollback ends the upgrade that is on probation, as a failed health check would: the
// new generation accepts nothing more, its idle connections come back, and it ends. It returns when that is so,
// and nil then. The error is [ErrNoProbation] if there is none, or not any more.
func (d *Daemon) Rollback() error {
	next, over := d.onProbationNow()
	if next == nil {
		return ErrNoProbation
	}
	d.askToRollBack(next)
	<-over
	if d.hasUpgraded() || !d.phaseIs(serving) {
		return ErrNoProbation
	}
	return nil
}

// hasUpgraded reports whether an upgrade of this generation has succeeded. Rollback may look when that one
// has taken over already, and this one has not begun to leave.
func (d *Daemon) hasUpgraded() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.upgradePassed
}

func (d *Daemon) onProbationNow() (*candidate, <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.candidate, d.candidateOver
}

// askToRollBack asks the generation on probation to roll back.
func (d *Daemon) askToRollBack(next *candidate) {
	p, err := process.Open(next.pid, next.startTime)
	if err != nil {
		return // it has ended
	}
	defer p.Close()
	if err := p.Signal(sigRollback); err != nil {
		d.log.Warn("generation on probation not signalled", "pid", next.pid, "error", err)
	}
}

// probationBegan is called when the successor has begun to serve beside this process.
func (d *Daemon) probationBegan(pid int, lasts time.Duration) {
	start, _ := process.StartTime(pid) // 0 is a valid answer: unknown
	d.mu.Lock()
	d.candidate = &candidate{pid: pid, startTime: start, until: time.Now().Add(lasts)}
	d.candidateOver = make(chan struct{})
	d.mu.Unlock()
	d.log.Info("successor on probation", "successor", pid, "for", lasts)
}

// probationEnded is called when the outcome of an upgrade is known.
func (d *Daemon) probationEnded(passed bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.upgradePassed = passed
	if d.candidate != nil {
		d.candidate = nil
		close(d.candidateOver)
	}
}

// abandonProbation has the generation on probation end before this one does. It is not
// killed, and so clients that it serves are not either.
func (d *Daemon) abandonProbation() {
	next, over := d.onProbationNow()
	if next == nil {
		return
	}
	d.askToRollBack(next)
	timer := time.NewTimer(d.stopWait())
	defer timer.Stop()
	select {
	case <-over:
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
func (d *Daemon) offerReturn() *returnChannel {
	if d.conf.Daemon.Probation <= 0 {
		return nil
	}
	c, err := openReturn(d.movableKeys(), d.adopt)
	if err != nil {
		d.log.Warn("connections will not move back, should the upgrade be rolled back", "error", err)
		return nil
	}
	d.up.Pass(fileReturn, c.theirs)
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
func (d *Daemon) closeReturn(c *returnChannel) {
	if c == nil {
		return
	}
	d.up.Pass(fileReturn, nil)
	_ = c.theirs.Close()
	c.receiver.Close()
}

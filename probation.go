package gozd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/cfg"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fault"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/handover"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// errRolledBack is why a generation on probation ends that has been told to.
var errRolledBack = errors.New("rolled back on request")

// verdictTime is how long a generation may take at the end of its probation: for the
// health check, and, if that fails, to let its clients go.
func verdictTime(conf *cfg.Config) time.Duration {
	return conf.Daemon.UpgradeTimeout + longest(conf, stopping) + endMargin
}

// probation is how long this generation serves beside the previous one before that
// is told to go: as its configuration says, but not longer than the previous one's
// says, which waits for it.
func (d *Daemon) probation() time.Duration {
	wanted, allowed := d.conf.Daemon.Probation, d.up.Manifest().Probation
	if d.Generation() > 1 && wanted > allowed {
		d.log.Warn("probation is shorter this time: the previous generation waits no longer", "wanted", wanted, "allowed", allowed)
	}
	return min(wanted, allowed)
}

// beginProbation changes the phase once.
func (d *Daemon) beginProbation(lasts time.Duration) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.phase != starting {
		return false
	}
	d.enterLocked(onProbation)
	d.probationUntil = d.entered.Add(lasts)
	d.deadline.Stop()
	return true
}

// passProbation serves beside the previous generation for a time, and then becomes the
// one that serves, or is rolled back. Without the previous one it must carry on.
func (d *Daemon) passProbation(lasts time.Duration) {
	d.log.Info("on probation", "for", lasts)
	if err := d.listenOnAll(); err != nil {
		d.rollBack(onProbation, err)
		return
	}
	d.report.Probation(lasts)
	d.openGate()
	fault.At(fault.OnProbation)
	timer := time.NewTimer(lasts)
	defer timer.Stop()
	select {
	case <-timer.C:
		if err := d.checkHealth(); err != nil {
			d.rollBack(onProbation, fmt.Errorf("health check: %w", err))
			return
		}
	case <-d.up.ParentExited():
		d.log.Warn("the previous generation is gone: the probation is over")
	}
	if err := d.becomeReady(); err != nil {
		d.rollBack(serving, err)
	}
}

// checkHealth asks the program, and waits as long as for getting ready.
func (d *Daemon) checkHealth() error {
	if d.opts.HealthCheck == nil {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), d.readyTimeout(),
		fmt.Errorf("no answer after %v", d.readyTimeout()))
	defer cancel()
	answer := make(chan error, 1)
	go func() { answer <- d.opts.HealthCheck(ctx) }()
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-d.up.ParentExited():
		return nil // there is nobody to go back to
	}
}

// rollBack ends a generation that is on probation, in phase from: its clients go back to the previous
// one where they can, and finish here where they cannot. It reports false, and does nothing, in another phase.
func (d *Daemon) rollBack(from phase, why error) bool {
	d.mu.Lock()
	is := d.phase == from
	if is {
		d.enterLocked(draining)
		d.why = rolledBack
	}
	d.mu.Unlock()
	if !is {
		return false
	}
	d.log.Error("rolled back", "error", why)
	d.receiver.Close()
	d.moveBack()
	d.emptyOwnQueues()
	d.drain(d.now(), stopping, false)
	d.endDrain(d.progress())
	d.endFailed(upgrade.StageProbation, why)
	return true
}

// emptyOwnQueues has those answered who have already connected to an address that the previous generation
// does not have.
func (d *Daemon) emptyOwnQueues() {
	d.removeNewSockets() // or others would still connect
	for _, g := range d.order {
		if g.own {
			g.ln.EmptyQueue()
		}
	}
}

// rollBackOrStop does what a generation on probation is asked to do. It may have passed
// meanwhile, and is the one that serves.
func (d *Daemon) rollBackOrStop() {
	if !d.rollBack(onProbation, errRolledBack) {
		d.Stop()
	}
}

// moveBack has idle connections move to the previous generation.
func (d *Daemon) moveBack() {
	f := d.up.File(fileReturn)
	if f == nil {
		return
	}
	sender, err := handover.NewSender(f)
	if err != nil {
		d.log.Warn("connections will not move back", "error", err)
		return
	}
	d.moveIdleTo(sender)
}

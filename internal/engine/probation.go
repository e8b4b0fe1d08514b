package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fault"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/handover"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// errRolledBack is why a generation on probation ends that has been told to.
var errRolledBack = errors.New("rolled back on request")

// verdictTime is how long a generation may take at the end of its probation: for the
// health check, and, if that fails, to let its clients go.
func verdictTime(conf *config.Config) time.Duration {
	return conf.Daemon.UpgradeTimeout + longest(conf, stopping) + endMargin
}

// probation is how long this generation serves beside the previous one before that
// is told to go: as its configuration says, but not longer than the previous one's
// says, which waits for it.
func (e *Engine) probation() time.Duration {
	wanted, allowed := e.conf.Daemon.Probation, e.up.Manifest().Probation
	if e.Generation() > 1 && wanted > allowed {
		e.log.Warn("probation is shorter this time: the previous generation waits no longer", "wanted", wanted, "allowed", allowed)
	}
	return min(wanted, allowed)
}

// beginProbation changes the phase once.
func (e *Engine) beginProbation(lasts time.Duration) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.phase != starting {
		return false
	}
	e.enterLocked(onProbation)
	e.probationUntil = e.entered.Add(lasts)
	e.deadline.Stop()
	return true
}

// passProbation serves beside the previous generation for a time, and then becomes the
// one that serves, or is rolled back. Without the previous one it must carry on.
func (e *Engine) passProbation(lasts time.Duration) {
	e.log.Info("on probation", "for", lasts)
	if err := e.listenOnAll(); err != nil {
		e.rollBack(onProbation, err)
		return
	}
	e.report.Probation(lasts)
	e.openGate()
	fault.At(fault.OnProbation)
	timer := time.NewTimer(lasts)
	defer timer.Stop()
	select {
	case <-timer.C:
		if err := e.checkHealth(); err != nil {
			e.rollBack(onProbation, fmt.Errorf("health check: %w", err))
			return
		}
	case <-e.up.ParentExited():
		e.log.Warn("the previous generation is gone: the probation is over")
	}
	if err := e.becomeReady(); err != nil {
		e.rollBack(serving, err)
	}
}

// checkHealth asks the program, and waits as long as for getting ready.
func (e *Engine) checkHealth() error {
	if e.opts.HealthCheck == nil {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), e.readyTimeout(),
		fmt.Errorf("no answer after %v", e.readyTimeout()))
	defer cancel()
	answer := make(chan error, 1)
	go func() { answer <- e.opts.HealthCheck(ctx) }()
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-e.up.ParentExited():
		return nil // there is nobody to go back to
	}
}

// rollBack ends a generation that is on probation, in phase from: its clients go back to the previous
// one where they can, and finish here where they cannot. It reports false, and does nothing, in another phase.
func (e *Engine) rollBack(from phase, why error) bool {
	e.mu.Lock()
	is := e.phase == from
	if is {
		e.enterLocked(draining)
		e.why = rolledBack
	}
	e.mu.Unlock()
	if !is {
		return false
	}
	e.log.Error("rolled back", "error", why)
	e.receiver.Close()
	e.moveBack()
	e.emptyOwnQueues()
	e.drain(e.now(), stopping, false)
	e.endDrain(e.progress())
	e.endFailed(upgrade.StageProbation, why)
	return true
}

// emptyOwnQueues has those answered who have already connected to an address that the previous generation
// does not have.
func (e *Engine) emptyOwnQueues() {
	e.removeNewSockets() // or others would still connect
	for _, g := range e.order {
		if g.own {
			g.ln.EmptyQueue()
		}
	}
}

// rollBackOrStop does what a generation on probation is asked to do. It may have passed
// meanwhile, and is the one that serves.
func (e *Engine) rollBackOrStop() {
	if !e.rollBack(onProbation, errRolledBack) {
		e.Stop()
	}
}

// moveBack has idle connections move to the previous generation.
func (e *Engine) moveBack() {
	f := e.up.File(fileReturn)
	if f == nil {
		return
	}
	sender, err := handover.NewSender(f)
	if err != nil {
		e.log.Warn("connections will not move back", "error", err)
		return
	}
	e.moveIdleTo(sender)
}

package engine

import (
	"errors"
	"fmt"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fault"
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

// passProbation serves beside the previous generation for a time, and then becomes the
// one that serves, or is rolled back. Without the previous one it must carry on.
func (e *Engine) passProbation(lasts time.Duration) {
	e.log.Info("on probation", "for", lasts)
	if err := e.groups.Listen(); err != nil {
		e.rollBack(startFailed, err)
		return
	}
	e.report.Probation(lasts)
	e.openGate()
	fault.At(fault.OnProbation)
	timer := time.NewTimer(lasts)
	defer timer.Stop()
	select {
	case <-timer.C:
		if err := e.hooks.isHealthy(e.readyTimeout(), e.up.ParentExited()); err != nil {
			e.rollBack(startFailed, fmt.Errorf("health check: %w", err))
			return
		}
	case <-e.up.ParentExited():
		e.log.Warn("the previous generation is gone: the probation is over")
	}
	if err := e.becomeReady(); err != nil {
		e.rollBack(startFailed, err)
	}
}

// rollBack ends a generation that is on probation, or that could not become ready at its end. It does nothing in one that serves, or
// ends already.
func (e *Engine) rollBack(ev event, why error) {
	if e.life.rollBack(ev) {
		e.endProbation(why)
	}
}

// endProbation has this generation's clients go back to the previous one where they can, and finish here where they cannot.
func (e *Engine) endProbation(why error) {
	t := e.life.now()
	e.log.Error("rolled back", "error", why)
	e.conns.receiver.Close()
	e.moveBack()
	e.groups.Withdraw()
	e.drain(t, stopping, false)
	e.endDrain(t, e.progressOf(t))
	e.endFailed(upgrade.StageProbation, why)
}

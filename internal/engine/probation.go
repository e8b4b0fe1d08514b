package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fault"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/supervise"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// errRolledBack is why a generation on probation ends that has been told to.
var errRolledBack = errors.New("rolled back on request")

// verdictTime is how long a generation may take at the end of its probation: for the
// health check, and, if that fails, to let its clients go.
func verdictTime(conf *config.Config) time.Duration {
	return conf.Daemon.UpgradeTimeout + stopWait(conf)
}

// probation is that of this generation, which serves beside its parent.
type probation struct{ *Engine }

// lasts is how long it does before its parent is told to go: as its configuration says, but not longer than its parent's
// says, which waits for it.
func (p probation) lasts() time.Duration {
	wanted, allowed := p.conf.Daemon.Probation, p.up.Manifest().Probation
	if p.Generation() > 1 && wanted > allowed {
		p.log.Warn("probation is shorter this time: the previous generation waits no longer", "wanted", wanted, "allowed", allowed)
	}
	return min(wanted, allowed)
}

// pass serves beside the previous generation for a time, and then becomes the
// one that serves, or is rolled back. Without the previous one it must carry on.
func (p probation) pass(lasts time.Duration) {
	p.log.Debug("on probation", "for", lasts)
	if err := p.groups.Listen(); err != nil {
		p.rollBack(startFailed, err)
		return
	}
	p.report.Probation(lasts)
	p.super.notify(supervise.Event{Kind: supervise.Starting, Trying: true})
	p.openGate()
	fault.At(fault.OnProbation)
	timer := time.NewTimer(lasts)
	defer timer.Stop()
	select {
	case <-timer.C:
		if err := p.hooks.isHealthy(p.readyWithin, p.up.ParentExited()); err != nil {
			p.rollBack(startFailed, fmt.Errorf("health check: %w", err))
			return
		}
	case <-p.up.ParentExited():
		p.log.Warn("the previous generation is gone: the probation is over")
	}
	if err := p.becomeReady(); err != nil {
		p.rollBack(startFailed, err)
	}
}

// rollBack ends a generation that is on probation, or that could not become ready at its end. It does nothing in one that serves, or
// ends already.
func (p probation) rollBack(ev event, why error) {
	if p.life.rollBack(ev) {
		p.end(why)
	}
}

// end has this generation's clients go back to the previous one where they can, and finish here where they cannot.
func (p probation) end(why error) {
	t := p.life.now()
	level := slog.LevelError
	if errors.Is(why, errRolledBack) {
		level = slog.LevelInfo
	}
	p.log.Log(context.Background(), level, "rolled back", "error", why)
	p.conns.receiver.Close()
	p.conns.moveBack(p.up, p.groups, p.log)
	p.groups.Withdraw()
	p.drains.drain(t, stopping, false)
	t.endDrain(p.drains.progress(t))
	p.counting.leave(p.log)
	p.endFailed(upgrade.StageProbation, why)
}

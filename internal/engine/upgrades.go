package engine

import (
	"context"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
)

// watchUpgrades does the upgrades that are asked for. Errors have been logged.
func (e *Engine) watchUpgrades() {
	select {
	case <-e.begun.Done():
	case <-e.done.Done():
		return
	}
	e.ancestors.keepBoundNow(e.life, &e.attempts.slot)
	for {
		select {
		case <-e.attempts.askedBy:
			if e.attempts.isWanted() { // or one has begun meanwhile: the control socket and the program ask for some too
				_ = e.Upgrade()
			}
		case <-e.done.Done():
			return
		}
	}
}

// upgradeWait is the longest that it takes until an upgrade's outcome is known.
func upgradeWait(conf *config.Config, asksProgram bool) time.Duration {
	wait := conf.Daemon.UpgradeTimeout + killWait + stopWait(conf) + killWait // the latter for the oldest generation: see keepBound
	if asksProgram {
		wait += conf.Daemon.UpgradeTimeout
	}
	if conf.Daemon.Probation > 0 {
		wait += conf.Daemon.Probation + verdictTime(conf)
	}
	return wait
}

// Rollback ends the upgrade that is on probation, and returns when that is so.
func (e *Engine) Rollback() error {
	next, found := e.attempts.rollBack(context.Background(), e.log)
	if !found || next.passed || !e.life.is(serving) {
		return ErrNoProbation
	}
	return nil
}

package client

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// endedSince is why an upgrade has come to nothing that the old generation takes for a success.
const endedSince = "it had taken over, and has ended since"

// served is the outcome where the generation that was asked says that another one serves. That one may have ended since, and whoever
// says so may lie: it is believed when the daemon's files name that process, or one that has replaced it.
func (a *upgradeAttempt) served(ctx context.Context, why error) (up *Upgraded, again bool, err error) {
	served := a.up.Served
	if err := a.look(served); errors.Is(err, process.ErrUntrusted) {
		return nil, false, err // whoever may say so: it is not the daemon's
	}
	named, err := a.awaitNamed(ctx, served)
	switch {
	case errors.Is(err, process.ErrNotRunning):
		return nil, false, a.upgradeError(protocol.Event{Stage: stageLost, PID: served.PID, Error: endedSince})
	case err != nil:
		return nil, false, fmt.Errorf("pid %d: %w: the daemon's files do not name pid %d, which is said to serve: %w", a.pid, ErrUnknownOutcome, served.PID, err)
	case named.PID == served.PID:
		return a.up, false, drainError(ctx, why)
	case named.PID == a.pid:
		return nil, false, a.upgradeError(protocol.Event{Stage: stageServing, PID: served.PID, Error: endedSince})
	}
	up, again, err = a.replacedBy(named)
	if err == nil && up == a.up {
		err = drainError(ctx, why)
	}
	return up, again, err
}

// errNotNamed means that the files go on to name the generation that was asked.
var errNotNamed = errors.New("they name the one before")

// awaitNamed returns whom the files name. The one that serves writes them a moment after it does; until then they name the one before, and so they
// do if that serves again.
func (a *upgradeAttempt) awaitNamed(ctx context.Context, served protocol.Event) (*process.State, error) {
	ctx, cancel := context.WithTimeout(ctx, settleWait)
	defer cancel()
	for pidfile := a.pidfile; ; {
		r, err := process.ReadRecordOf(pidfile, a.owner) // the old one can name any
		isSeen := err == nil && (!a.sees || isThere(r))
		switch {
		case errors.Is(err, process.ErrNotRunning) && filepath.IsAbs(served.PIDFile) && pidfile == a.pidfile:
			pidfile = served.PIDFile // the upgrade has moved it
			continue
		case isSeen && r.State.PID != a.pid:
			return r.State, nil
		case isSeen && a.sees && served.PID != a.pid && errors.Is(a.look(served), os.ErrProcessDone): // the old one serves again
			return r.State, nil
		case err == nil:
			err = errNotNamed
		case !process.IsUnsettled(err):
			return nil, err
		}
		if pause(ctx) != nil {
			return nil, err
		}
	}
}

// passed is the outcome of a dry run that has gone well: the daemon serves on, if the files say so too, and the process lives that they name.
func (a *upgradeAttempt) passed(ctx context.Context) (up *Upgraded, again bool, err error) {
	if a.hasEnded(ctx) {
		return nil, false, fmt.Errorf("pid %d ended during the dry run, and nobody serves: %w", a.pid, process.ErrNotRunning)
	}
	if a.sees {
		r, err := process.Await(ctx, a.pidfile)
		if err != nil {
			return nil, false, fmt.Errorf("pid %d: %w: the daemon's files do not name pid %d, which is said to serve: %w", a.pid, ErrUnknownOutcome, a.pid, err)
		}
		r.Close()
	}
	return a.upgraded(a.last), false, nil
}

// failed is the error of an upgrade that has failed by what the generation says that was asked. That it serves on, or again, the files say.
func (a *upgradeAttempt) failed(ctx context.Context) error {
	failed := a.upgradeError(a.last)
	if failed.Serves() && a.hasEnded(ctx) {
		failed.Stage = stageLost
	}
	return failed
}

// hasEnded reports whether the daemon has ended, as far as is known when ctx is done.
func (a *upgradeAttempt) hasEnded(ctx context.Context) bool {
	_, err := process.AwaitRecord(ctx, a.pidfile)
	return errors.Is(err, process.ErrNotRunning)
}

// look returns nil if the process lives that is said to serve, and is the daemon's.
func (a *upgradeAttempt) look(served protocol.Event) error {
	p, err := process.OpenOf(a.pidfile, a.owner, served.PID, served.StartTime)
	if err == nil {
		p.Close()
	}
	return err
}

// isReplaced reports whether the daemon's files name another generation by now.
func (a *upgradeAttempt) isReplaced() bool {
	r, err := process.ReadRecordOf(a.pidfile, a.owner)
	return err == nil && r.State.PID != a.pid
}

// lookAfter finds out what became of the upgrade where the generation that was asked has stopped talking in the middle:
// it has been killed, or has ended just as it was asked. Its successor may serve a moment later, or stop too.
func (a *upgradeAttempt) lookAfter(ctx context.Context, why error) (up *Upgraded, again bool, err error) {
	settled := time.Now().Add(settleWait)
	for {
		r, err := process.ReadRecordOf(a.pidfile, a.owner)
		switch {
		case errors.Is(err, process.ErrNotRunning) && a.up != nil && !a.opts.dryRun && a.up.Served.PIDFile != "":
			return a.served(ctx, why) // perhaps by the files to which the upgrade has moved them
		case errors.Is(err, process.ErrNotRunning):
			return nil, false, fmt.Errorf("pid %d ended during the upgrade, and nobody serves: %w", a.pid, err)
		case err != nil && !process.IsUnsettled(err):
			return nil, false, err
		case err == nil && r.State.PID == a.pid && isThere(r):
			if !time.Now().Before(settled) {
				return nil, false, why // it lives, and has stopped talking all the same
			}
		case err == nil && r.State.PID != a.pid && isThere(r):
			return a.replacedBy(r.State)
		}
		if err := pause(ctx); err != nil {
			return nil, false, fmt.Errorf("pid %d: %w: %w", a.pid, ErrUnknownOutcome, err)
		}
	}
}

// replacedBy is the outcome where another generation serves by now: the one that was started, if one was.
func (a *upgradeAttempt) replacedBy(s *process.State) (up *Upgraded, again bool, err error) {
	switch {
	case a.up == nil && (!a.started || a.opts.dryRun):
		return nil, true, nil
	case a.generation != 0 && s.Generation <= a.generation: // it serves again, or was started since
		lost := &UpgradeError{PID: a.pid, Generation: a.generation, Stage: stageLost, By: s.PID}
		lost.Reason = fmt.Sprintf("generation %d serves, and has not come from this upgrade", s.Generation)
		return nil, false, lost
	case a.up != nil:
		return a.up, false, nil // only the drain was cut short
	}
	e := protocol.Event{Type: protocol.Served, Time: time.Now(), Generation: s.Generation, PID: s.PID, StartTime: s.StartTime}
	a.onEvent(e)
	return a.upgraded(e), false, nil
}

// isThere reports whether the generation that a daemon's files name lives, as far as can be seen from here.
func isThere(r *process.Record) bool {
	p, err := r.Open()
	if err != nil {
		return errors.Is(err, process.ErrCannotSee) || errors.Is(err, process.ErrHidden)
	}
	p.Close()
	return true
}

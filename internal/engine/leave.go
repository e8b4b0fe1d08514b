package engine

import (
	"context"
	"errors"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/supervise"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// relieveWait is how long the generation that stands by may take to let go when the daemon ends. It
// needs a millisecond, unless it is stopped.
const relieveWait = time.Second

// Stop drains with stop_timeout, and ends this generation.
func (e *Engine) Stop() { e.leave(stopAsked, stopping) }

// Quit is Stop with drain_timeout.
func (e *Engine) Quit() { e.leave(stopAsked, quitting) }

// leave begins to drain, or hurries a drain that has begun.
func (e *Engine) leave(ev event, why reason) (hurried bool) {
	from, t := e.life.leave(ev, why)
	if ev == stopAsked && from.drains() {
		// It stands by no longer, and a stop takes the time that it may. A terminal's and a supervisor's signal are one request.
		if from == standingBy {
			go (&standby{Engine: e, t: t}).release()
		}
		if why == stopping && !t.expedited.has() {
			go e.drains.expedite(t)
		}
		return true
	}
	switch from {
	case starting:
		e.endFailed(upgrade.StageStart, errors.New("asked to end before it was ready"))
	case onProbation:
		go probation{e}.end(errRolledBack)
	case serving:
		e.drains.begin(t, why) // whoever follows the drain sees this moment
		if why == replaced {
			e.super.notifyDraining(e.life.standsBy())
		} else {
			e.super.notify(supervise.Event{Kind: supervise.Stopping, Within: longest(e.conf, why) + endMargin})
		}
		t.stopServing(why.cause())
		if why == stopping {
			t.expedited.happen()
		}
		go e.finish(t, why)
	}
	return false
}

// finish drains every group and ends the generation, unless it serves again meanwhile.
func (e *Engine) finish(t *term, why reason) {
	<-e.begun.Done()
	isWithin(otherWait, e.groups.TLS().Pause) // it waits for files of TLS, which may hang
	e.fds.Release()
	last := why != replaced && e.endAll(why)
	if last {
		e.up.EndParentsStandby(relieveWait)         // its sockets must not be open when this process empties their queues
		e.groups.RemoveFiles()                      // before the last of their clients are accepted
		isWithin(otherWait, e.conns.receiver.Close) // an older generation that is stopped does not read that its connection was taken
		e.groups.Finish()
	} else if !e.life.standsBy() {
		e.files.Leave() // they are the successor's now
	}
	e.drains.drain(t, why, !last)
	end := e.drains.progress(t)
	e.life.standAWhile(t)
	if !(&standby{Engine: e, t: t}).endTerm() {
		return
	}
	t.endDrain(end)
	if e.life.isLost() && e.files.Retake() == nil { // or it has been started again
		last = true
		e.groups.RemoveFiles()
	}
	if last {
		e.control.leave()
		e.files.remove()
	}
	isWithin(2*settledWait, e.conns.passing.Wait) // a successor that is stopped takes nothing
	isWithin(otherWait, e.up.AwaitParent)
	e.life.awaitReport()
	if !last {
		e.counting.leave(e.log)
	}
	e.control.close() // until now whoever looks for the daemon may still have found this generation
	e.log.Info("done", "reason", string(why), "took", seconds(end.Seconds), "moved", end.Moved, "ended", end.Ended, "cut", end.Cut)
	e.done.happen()
	e.exit.ask(e.life.replacedBy() != nil, &e.signals)
}

// seconds is a duration for the log.
func seconds(s float64) time.Duration {
	return time.Duration(s * float64(time.Second)).Round(time.Millisecond)
}

// otherWait is how long this generation waits, when it ends, for what another one does in an instant, unless it is stopped or hangs.
const otherWait = time.Second

// isWithin calls wait, and reports whether it has returned in time.
func isWithin(limit time.Duration, wait func()) bool {
	returned := make(chan struct{})
	go func() {
		defer close(returned)
		wait()
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-returned:
		return true
	case <-timer.C:
		return false
	}
}

// endAll has the older generations end too, gives up an upgrade in progress, and
// reports whether this generation is the daemon's last. It is not when the upgrade
// has just succeeded: then the successor is asked to end in its place.
func (e *Engine) endAll(why reason) (last bool) {
	sig := sigStop
	if why == quitting {
		sig = sigQuit
	}
	// A parent that has not seen yet that this process serves would take the signal
	// for the end of its upgrade, and kill its successor: this process. One that does not see it for so long is stopped,
	// and finds out what has become of its successor when it goes on.
	isWithin(otherWait, e.up.AwaitParent)
	e.ancestors.signal(sig)
	limit, cancel := context.WithTimeout(context.Background(), stopWait(e.conf))
	defer cancel()
	e.attempts.rollBack(limit, e.log) // before this generation ends, which its clients go back to
	e.up.Stop()
	e.attempts.slot.Lock() // an upgrade in progress ends at once after Stop
	defer e.attempts.slot.Unlock()
	e.life.signalSuccessor(sig)
	return e.life.replacedBy() == nil
}

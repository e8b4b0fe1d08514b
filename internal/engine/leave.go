package engine

import (
	"errors"
	"os"
	"os/signal"
	"sync"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/server"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fault"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/supervise"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// exitGrace is how long a program may take to receive from the exit channel, and
// then until Accept returns to it.
const exitGrace = time.Second

// reason is why a generation leaves. It decides how long connections may take.
type reason string

const (
	replaced reason = "upgrade" // by its successor: drain_timeout
	quitting reason = "quit"    // drain_timeout
	stopping reason = "stop"    // stop_timeout

	// rolledBack is only told: such a generation drains as if it were stopped.
	rolledBack reason = "rollback"
)

// relieveWait is how long the generation that stands by may take to let go when the daemon ends. It
// needs a millisecond, unless it is stopped.
const relieveWait = time.Second

func (r reason) timeout(g *config.Group) time.Duration {
	if r == stopping {
		return g.StopTimeout
	}
	return g.DrainTimeout
}

// Stop drains with stop_timeout, and ends this generation.
func (e *Engine) Stop() { e.leave(stopAsked, stopping) }

// Quit is Stop with drain_timeout.
func (e *Engine) Quit() { e.leave(stopAsked, quitting) }

// leave begins to drain, or hurries a drain that has begun.
func (e *Engine) leave(ev event, why reason) {
	from, t := e.life.leave(ev, why)
	if ev == stopAsked && from.drains() {
		e.hasten(t, from, why)
		return
	}
	switch from {
	case starting:
		e.endFailed(upgrade.StageStart, errors.New("asked to end before it was ready"))
	case onProbation:
		go e.endProbation(errRolledBack)
	case serving:
		e.beginDrain(t, why) // whoever follows the drain sees this moment
		e.notifyLeaving(why)
		t.stopServing()
		if why == stopping {
			t.hurried.happen()
		}
		go e.finish(t, why)
	}
}

// notifyLeaving tells the supervisor why this generation accepts nothing more.
func (e *Engine) notifyLeaving(why reason) {
	if why == replaced {
		e.super.notifyDraining(e.life.standsBy())
		return
	}
	e.super.notify(supervise.Event{Kind: supervise.Stopping, Within: longest(e.conf, why) + endMargin})
}

// hasten has a generation that drains end sooner: it stands by no longer, and a stop takes the time that it may. A terminal's and a
// supervisor's signal are one request.
func (e *Engine) hasten(t *term, from phase, why reason) {
	if from == standingBy {
		go e.resign(t)
	}
	if why == stopping && !t.hurried.has() {
		go e.hurryDrain(t)
	}
}

// finish drains every group and ends the generation, unless it serves again meanwhile.
func (e *Engine) finish(t *term, why reason) {
	<-e.settled.Done()
	e.groups.StopTickets()
	e.fds.Release()
	last := why != replaced && e.endAll(why)
	if last {
		e.up.Relieve(relieveWait)                      // its sockets must not be open when this process empties their queues
		if err := e.groups.RemoveFiles(); err != nil { // before the last of their clients are accepted
			e.log.Warn("socket not removed", "error", err)
		}
		e.conns.receiver.Close()
		e.groups.Finish()
	} else if !e.life.standsBy() {
		e.files.Leave() // they are the successor's now
	}
	e.drain(t, why, !last)
	end := e.progressOf(t)
	e.standAWhile(t)
	if !e.endTerm(t) {
		return
	}
	e.endDrain(t, end)
	if e.life.isLost() && e.files.Retake() == nil { // or it has been started again
		last = true
		if err := e.groups.RemoveFiles(); err != nil {
			e.log.Warn("socket not removed", "error", err)
		}
	}
	if last {
		e.leaveControl()
		e.removeFiles()
	}
	isWithin(2*settledWait, e.conns.passing.Wait) // a successor that is stopped takes nothing
	isWithin(otherWait, e.up.AwaitParent)
	e.life.awaitSettled()
	e.closeControl() // until now whoever looks for the daemon may still have found this generation
	e.log.Info("done", "reason", string(why))
	e.done.happen()
	e.sayGoodbye()
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
	e.signalAncestors(sig)
	e.abandonProbation()
	e.up.Stop()
	e.attempts.slot.Lock() // an upgrade in progress ends at once after Stop
	defer e.attempts.slot.Unlock()
	e.life.signalSuccessor(sig)
	return e.life.replacedBy() == nil
}

// drain drains all groups, and the program's hooks, at the same time. It does nothing when this generation serves again, and
// returns when it does.
func (e *Engine) drain(t *term, why reason, isReplaced bool) {
	before := e.groups.Stats() // connections begin to move as soon as it stops
	if !e.stopAccepting(t, why) {
		return
	}
	stand := func() { e.standAWhile(t) }
	e.hooks.drain(t, isReplaced, stand)
	limit, cancel := t.limit(why, func(r reason) time.Duration { return longest(e.conf, r) })
	defer cancel()
	var wg sync.WaitGroup
	for conf, ln := range e.groups.All() {
		was := before[0]
		before = before[1:]
		wg.Go(func() { e.drainGroup(t, conf, ln, why, was) })
	}
	fault.At(fault.Draining)
	wg.Wait()
	t.early.happen()
	if !e.hooks.awaitDrained(limit, t, stand) {
		e.log.Warn("OnReplaced or OnDrain has not returned", "reason", string(t.reason(why)))
	}
}

// hurryDrain has a drain that has begun, or is about to, end within the time of a stop.
func (e *Engine) hurryDrain(t *term) {
	e.life.switching.Lock()
	defer e.life.switching.Unlock()
	if e.life.now() != t {
		return
	}
	e.beginDrain(t, stopping)
	e.groups.Hurry()
	t.hurried.happen()
}

// stopAccepting reports false when it is too late: this generation serves again.
func (e *Engine) stopAccepting(t *term, why reason) bool {
	e.life.switching.Lock()
	defer e.life.switching.Unlock()
	if e.life.now() != t {
		return false
	}
	e.beginDrain(t, why)
	e.groups.StopAccepting(why == stopping)
	t.left.happen()
	return true
}

func (e *Engine) drainGroup(t *term, conf *config.Group, ln *listener.Listener, why reason, before listener.Stats) {
	ctx, cancel := t.limit(why, func(r reason) time.Duration { return r.timeout(conf) })
	defer cancel()
	took := ln.AwaitDrained(ctx).Took
	if e.life.now() != t {
		return
	}
	r := ln.Stats().Since(before)
	log := e.log.Info
	if r.Cut > 0 {
		log = e.log.Warn
	}
	log("drain finished", "group", conf.Name, "reason", string(t.reason(why)), "moved", r.Moved,
		"ended", r.Ended, "cut", r.Cut, "took", took.Round(time.Millisecond))
}

// removeFiles removes what the daemon leaves in the file system, at its very end.
func (e *Engine) removeFiles() {
	server.RemoveStale(e.PIDFile())
	if err := e.files.Remove(); err != nil {
		e.log.Warn("PID file not removed", "error", err)
	}
}

// sayGoodbye asks the program to end, and ends a process whose program does not
// listen.
func (e *Engine) sayGoodbye() {
	timer := time.NewTimer(exitGrace)
	defer timer.Stop()
	select {
	case e.exit <- struct{}{}:
	case <-timer.C:
		if e.endProcess {
			os.Exit(0)
		}
	}
	close(e.exit)
	if e.life.replacedBy() != nil {
		// What is meant for the daemon must not kill a program that cleans up after its generation. Nobody receives
		// them, so they are dropped.
		signal.Notify(make(chan os.Signal, 1), sigUpgrade, sigReopen)
	}
	e.signals.stop()
	// The program has a moment to return from main. Only then may Serve return
	// in its other goroutines, where log.Fatal may be waiting for it.
	time.AfterFunc(exitGrace, func() { e.release.happen() })
}

// stopWait is the longest that a stop takes.
func (e *Engine) stopWait() time.Duration {
	return longest(e.conf, stopping) + endMargin
}

// endMargin is for what comes after the longest timeout: cutting, and the program's own end.
const endMargin = 5 * exitGrace

// longest is the most time that any group allows.
func longest(conf *config.Config, why reason) time.Duration {
	most := time.Duration(0)
	for i := range conf.Groups {
		most = max(most, why.timeout(&conf.Groups[i]))
	}
	return most
}

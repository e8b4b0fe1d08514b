package gozd

import (
	"errors"
	"os"
	"os/signal"
	"sync"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/cfg"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/server"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fault"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/listen"
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

func (r reason) timeout(g *cfg.Group) time.Duration {
	if r == stopping {
		return g.StopTimeout
	}
	return g.DrainTimeout
}

// Stop accepts nothing more, lets requests finish for stop_timeout, and then asks
// the program to end. It returns at once. In a generation that drains already it
// shortens the time left. An upgrade in progress is given up.
func (d *Daemon) Stop() { d.leave(stopping, draining) }

// Quit is Stop with drain_timeout.
func (d *Daemon) Quit() { d.leave(quitting, draining) }

// leave begins to drain, in that phase, or hurries a drain that has begun.
func (d *Daemon) leave(why reason, as phase) {
	d.mu.Lock()
	before := d.phase
	if before == serving {
		d.enterLocked(as)
		d.why = why
	}
	again := d.hurried // a terminal's and a supervisor's signal are one request
	d.hurried = again || why == stopping && (before == serving || before.drains())
	d.stopRequested = d.stopRequested || why != replaced
	t := d.term
	d.mu.Unlock()
	switch before {
	case onProbation:
		go d.rollBackOrStop()
	case starting:
		d.fail(upgrade.StageStart, errors.New("asked to end before it was ready"))
	case serving:
		d.beginDrain(why) // whoever follows the drain sees this moment
		d.notifyDraining(why)
		t.stopServing()
		go d.finish(t, why)
	default:
		if why != replaced {
			go d.resign(t)
		}
		if why == stopping && !again {
			go d.hurryDrain(t)
		}
	}
}

// finish drains every group and ends the generation, unless it serves again meanwhile.
func (d *Daemon) finish(t *term, why reason) {
	<-d.settled
	d.tickets.Stop()
	d.fds.Release()
	last := why != replaced && d.endAll(why)
	if last {
		d.up.Relieve(relieveWait)                    // its sockets must not be open when this process empties their queues
		if err := d.removeAllSockets(); err != nil { // before the last of their clients are accepted
			d.log.Warn("socket not removed", "error", err)
		}
		d.receiver.Close()
		for _, g := range d.order {
			g.ln.CloseIdle()
			if !g.outlives() { // or the clients in the queue would not wait for the next start, and nobody could connect to it any more
				g.ln.EmptyQueue()
			}
		}
	} else if !d.standsBy() {
		d.files.Leave() // they are the successor's now
	}
	d.drain(t, why, !last)
	end := d.progress()
	d.standAWhile(t)
	if !d.endTerm(t) {
		return
	}
	d.endDrain(end)
	if d.isLast() && d.files.Retake() == nil { // or it has been started again
		last = true
		if err := d.removeAllSockets(); err != nil {
			d.log.Warn("socket not removed", "error", err)
		}
	}
	if last {
		d.leaveControl()
		d.removeFiles()
	}
	isWithin(2*settledWait, d.passing.Wait) // a successor that is stopped takes nothing
	isWithin(otherWait, d.up.AwaitParent)
	d.awaitSuccessor()
	d.closeControl() // until now whoever looks for the daemon may still have found this generation
	d.log.Info("done", "reason", string(why))
	close(d.done)
	d.sayGoodbye()
}

func (d *Daemon) isLast() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.last
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
func (d *Daemon) endAll(why reason) (last bool) {
	sig := sigStop
	if why == quitting {
		sig = sigQuit
	}
	// A parent that has not seen yet that this process serves would take the signal
	// for the end of its upgrade, and kill its successor: this process. One that does not see it for so long is stopped,
	// and finds out what has become of its successor when it goes on.
	isWithin(otherWait, d.up.AwaitParent)
	d.signalAncestors(sig)
	d.abandonProbation()
	d.up.Stop()
	d.upgrading.Lock() // an upgrade in progress ends at once after Stop
	defer d.upgrading.Unlock()
	d.mu.Lock()
	pid := d.successor
	d.mu.Unlock()
	if pid != 0 {
		d.signalSuccessor(pid, sig)
	}
	return pid == 0
}

// drain drains all groups, and the program's hooks, at the same time. It does nothing when this generation serves again, and
// returns when it does.
func (d *Daemon) drain(t *term, why reason, isReplaced bool) {
	before := make([]listen.Stats, len(d.order)) // connections begin to move as soon as it stops
	for i, g := range d.order {
		before[i] = g.ln.Stats()
	}
	if !d.stopAccepting(t, why) {
		return
	}
	d.callHooks(t, isReplaced)
	limit, cancel := t.limit(why, func(r reason) time.Duration { return longest(d.conf, r) })
	defer cancel()
	var wg sync.WaitGroup
	for i, g := range d.order {
		wg.Go(func() { d.drainGroup(t, g, why, before[i]) })
	}
	fault.At(fault.Draining)
	wg.Wait()
	t.endEarly()
	d.drainHooks(limit, t, why)
}

// hurryDrain has a drain that has begun, or is about to, end within the time of a stop.
func (d *Daemon) hurryDrain(t *term) {
	d.switching.Lock()
	defer d.switching.Unlock()
	if d.now() != t {
		return
	}
	d.beginDrain(stopping)
	for _, g := range d.order {
		g.ln.Hurry()
	}
	t.hurry()
}

// stopAccepting reports false when it is too late: this generation serves again.
func (d *Daemon) stopAccepting(t *term, why reason) bool {
	d.switching.Lock()
	defer d.switching.Unlock()
	if d.now() != t {
		return false
	}
	d.beginDrain(why)
	for _, g := range d.order {
		if why == stopping {
			g.ln.Hurry()
		}
		g.ln.StopAccepting()
	}
	t.beginLeft()
	return true
}

func (d *Daemon) drainGroup(t *term, g *group, why reason, before listen.Stats) {
	ctx, cancel := t.limit(why, func(r reason) time.Duration { return r.timeout(g.conf) })
	defer cancel()
	took := g.ln.AwaitDrained(ctx).Took
	if d.now() != t {
		return
	}
	r := g.ln.Stats().Since(before)
	log := d.log.Info
	if r.Cut > 0 {
		log = d.log.Warn
	}
	log("drain finished", "group", g.conf.Name, "reason", string(t.reason(why)), "moved", r.Moved,
		"ended", r.Ended, "cut", r.Cut, "took", took.Round(time.Millisecond))
}

// removeFiles removes what the daemon leaves in the file system, at its very end.
func (d *Daemon) removeFiles() {
	server.RemoveStale(d.PIDFile())
	if err := d.files.Remove(); err != nil {
		d.log.Warn("PID file not removed", "error", err)
	}
}

// sayGoodbye asks the program to end, and ends a process whose program does not
// listen.
func (d *Daemon) sayGoodbye() {
	timer := time.NewTimer(exitGrace)
	defer timer.Stop()
	select {
	case d.exit <- struct{}{}:
	case <-timer.C:
		if d.endProcess {
			os.Exit(statusOK)
		}
	}
	close(d.exit)
	if d.replacedBy() != nil {
		// What is meant for the daemon must not kill a program that cleans up after its generation. Nobody receives
		// them, so they are dropped.
		signal.Notify(make(chan os.Signal, 1), sigUpgrade, sigReopen)
	}
	d.unwatchSignals()
	// The program has a moment to return from main. Only then may Serve return
	// in its other goroutines, where log.Fatal may be waiting for it.
	time.AfterFunc(exitGrace, func() { close(d.release) })
}

// stopWait is the longest that a stop takes.
func (d *Daemon) stopWait() time.Duration {
	return longest(d.conf, stopping) + endMargin
}

// endMargin is for what comes after the longest timeout: cutting, and the program's own end.
const endMargin = 5 * exitGrace

// longest is the most time that any group allows.
func longest(conf *cfg.Config, why reason) time.Duration {
	most := time.Duration(0)
	for i := range conf.Groups {
		most = max(most, why.timeout(&conf.Groups[i]))
	}
	return most
}

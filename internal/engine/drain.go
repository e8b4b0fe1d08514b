package engine

import (
	"log/slog"
	"sync"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fault"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/groups"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/peers"
)

// reason is why a generation drains. It decides how long connections may take.
type reason string

const (
	replaced reason = "upgrade" // by its successor: drain_timeout
	quitting reason = "quit"    // drain_timeout
	stopping reason = "stop"    // stop_timeout

	// rolledBack is only told: such a generation drains as if it were stopped.
	rolledBack reason = "rollback"
)

func (r reason) timeout(g *config.Group) time.Duration {
	if r == stopping {
		return g.StopTimeout
	}
	return g.DrainTimeout
}

// cause is why what a program does while its generation serves has to end; nil where it ends with the daemon.
func (r reason) cause() error {
	if r == replaced {
		return ErrReplaced
	}
	return nil
}

// endMargin is for what comes after the longest timeout: cutting, and the program's own end.
const endMargin = 5 * exitGrace

// stopWait is the longest that a stop takes.
func stopWait(conf *config.Config) time.Duration { return longest(conf, stopping) + endMargin }

// longest is the most time that any group allows.
func longest(conf *config.Config, why reason) time.Duration {
	most := time.Duration(0)
	for i := range conf.Groups {
		most = max(most, why.timeout(&conf.Groups[i]))
	}
	return most
}

// drainer drains the groups of this generation, and the program's hooks.
type drainer struct {
	self   peers.Peer
	conf   *config.Config
	groups *groups.Set
	hooks  *hooks
	life   *life
	log    *slog.Logger
}

// begin notes that a drain begins, or that one that has begun has less time.
func (d *drainer) begin(t *term, why reason) {
	t.drainage.begin(longest(d.conf, why), d.groups.Stats)
}

// drain drains all groups, and the program's hooks, at the same time. It does nothing when this generation serves again, and
// returns when it does.
func (d *drainer) drain(t *term, why reason, isReplaced bool) {
	before := d.groups.Stats() // connections begin to move as soon as it stops
	if !d.stopAccepting(t, why) {
		return
	}
	stand := func() { d.life.standAWhile(t) }
	d.hooks.drain(t, isReplaced, stand)
	limit, cancel := t.limit(why, func(r reason) time.Duration { return longest(d.conf, r) })
	defer cancel()
	var wg sync.WaitGroup
	for conf, traffic := range d.groups.All() {
		was := before[0]
		before = before[1:]
		wg.Go(func() { d.drainGroup(t, conf, traffic, why, was) })
	}
	fault.At(fault.Draining)
	wg.Wait()
	t.early.happen()
	if !d.hooks.awaitDrained(limit, t, stand) {
		if t.hooksReturned.has() {
			d.log.Warn("a run of Only has not returned", "reason", string(t.reason(why)))
			return
		}
		d.log.Warn("OnReplaced or OnDrain has not returned", "reason", string(t.reason(why)))
	}
}

// expedite has a drain that has begun, or is about to, end within the time of a stop.
func (d *drainer) expedite(t *term) {
	d.life.switching.Lock()
	defer d.life.switching.Unlock()
	if d.life.now() != t {
		return
	}
	d.begin(t, stopping)
	for _, traffic := range d.groups.All() {
		traffic.Expedite()
	}
	t.expedited.happen()
}

// stopAccepting reports false when it is too late: this generation serves again.
func (d *drainer) stopAccepting(t *term, why reason) bool {
	d.life.switching.Lock()
	defer d.life.switching.Unlock()
	if d.life.now() != t {
		return false
	}
	d.begin(t, why)
	d.groups.StopAccepting(why == stopping)
	t.left.happen()
	return true
}

func (d *drainer) drainGroup(t *term, conf *config.Group, traffic groups.Traffic, why reason, before listener.Stats) {
	ctx, cancel := t.limit(why, func(r reason) time.Duration { return r.timeout(conf) })
	defer cancel()
	took := traffic.AwaitDrained(ctx).Took
	if d.life.now() != t {
		return
	}
	r := traffic.Stats().Since(before)
	log := d.log.Debug
	if r.Cut > 0 {
		log = d.log.Warn
	}
	log("drain finished", "group", conf.Name, "reason", string(t.reason(why)), "moved", r.Moved,
		"ended", r.Ended, "cut", r.Cut, "took", took.Round(time.Millisecond))
}

// progress is how far a drain is, and how it went when it is over.
func (d *drainer) progress(t *term) protocol.Event {
	ev := t.drainage.progress(d.groups.Stats())
	ev.Generation, ev.PID, ev.StartTime = d.self.Generation, d.self.PID, d.self.StartTime
	return ev
}

package supervise

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// phase is what a generation has last said of itself.
type phase string

const (
	isSpawned  phase = "spawned" // the supervisor has started it, and it has said nothing yet
	isStarting phase = "starting"
	isServing  phase = "serving"
	isReplaced phase = "replaced" // its successor says that it serves; it has not said that it drains
	isStandby  phase = "standby"  // it drains, and serves again if its successor dies
	isDraining phase = "draining"
)

// generation is one as the supervisor knows it.
type generation struct {
	PID       int
	StartTime uint64
	Number    int
	Phase     phase
	Trying    bool // it is on probation, or was
	User      int  // that it runs as; see processes.admit
}

// generations are those that live, and which of them serves. They learn of every event
// and every end, in the order in which they come. Not safe for concurrent use.
//
// What a generation says of itself is believed: whether the process that speaks is one is decided before, see
// processes.admit.
type generations struct {
	all       []*generation
	upgrading bool          // the serving one starts its successor
	within    time.Duration // how long that may take
	lost      *generation   // the last that served, while its successor has not been heard but may carry on alone; nil if none can
	failure   string        // of the last upgrade; "" if that was none
	stopping  bool          // the daemon ends
	asked     bool          // it has been asked to, which may have reached nobody yet
	served    bool          // one has served
}

// ending reports whether the daemon is to end.
func (l *generations) ending() bool { return l.asked || l.stopping }

// serving is the generation that serves, nil if none does.
func (l *generations) serving() *generation { return l.newest(isServing) }

// newest returns the newest generation in a phase, or nil.
func (l *generations) newest(p phase) *generation {
	var found *generation
	for _, g := range l.all {
		if g.Phase == p && (found == nil || g.Number > found.Number) {
			found = g
		}
	}
	return found
}

// target is the generation that signals go to: that which serves or, before the
// first one does, that which starts. It is nil as long as none handles signals.
func (l *generations) target() *generation {
	if g := l.serving(); g != nil {
		return g
	}
	return l.newest(isStarting)
}

func (l *generations) find(pid int) *generation {
	i := slices.IndexFunc(l.all, func(g *generation) bool { return g.PID == pid })
	if i < 0 {
		return nil
	}
	return l.all[i]
}

// add takes note of a process that has been found to be a generation.
func (l *generations) add(g *generation) { l.all = append(l.all, g) }

// apply takes note of what the process pid has said, and returns its generation; nil for an
// event that means nothing from that process, or nothing any more.
func (l *generations) apply(pid int, e Event) *generation {
	g := l.find(pid)
	if g == nil || !mayFollow(g.Phase, e.Kind) {
		return nil
	}
	switch e.Kind {
	case Starting:
		g.Phase, g.Trying = isStarting, e.Trying
	case Serving:
		l.replace(g)
		l.served = true
		l.upgrading, l.failure, l.lost = false, "", nil
	case Upgrading:
		l.upgrading, l.within, l.lost = true, e.Within, nil
	case Failed:
		l.replace(g)
		l.upgrading, l.failure, l.lost = false, e.Text, nil
	case Draining:
		// A successor says that it serves before the generation that it replaces drains. If no successor is known here, that one had ended when
		// it was heard, as this process had stood still; its own successor may live.
		if g.Phase == isServing && l.upgrading {
			l.upgrading, l.lost = false, g
		}
		g.Phase = isDraining
		if e.StandsBy {
			g.Phase = isStandby
		}
	case Stopping:
		l.stopping = l.stopping || g.Phase == isServing
		if g.Phase != isServing {
			g.Phase = isDraining
		}
	case Alive, Keeping, Settled:
	}
	return g
}

// mayFollow reports whether a generation can say this where it is. One that drains has nothing to say of who serves, nor of
// what is kept.
func mayFollow(p phase, k Kind) bool {
	switch k {
	case Starting, Serving:
		return p == isSpawned || p == isStarting
	case Upgrading, Settled:
		return p == isServing
	case Failed:
		return p == isServing || p == isReplaced || p == isStandby
	case Keeping:
		return p != isDraining
	case Draining, Stopping, Alive:
		return true
	}
	return false // of a newer version
}

// replace makes g the one that serves.
func (l *generations) replace(g *generation) {
	if s := l.serving(); s != nil && s != g {
		s.Phase = isReplaced
	}
	g.Phase = isServing
}

// ended takes note of a process's end, and reports whether it was a generation's. Where the one
// that served is gone and the one before it has not said that it drains, that one serves on:
// its successor may have died in the moment in which it took over.
func (l *generations) ended(pid int) bool {
	g := l.find(pid)
	if g == nil {
		return false
	}
	l.all = slices.DeleteFunc(l.all, func(o *generation) bool { return o == g })
	if g.Phase != isServing {
		return true
	}
	if l.upgrading {
		l.lost = g
	}
	l.upgrading = false
	if before := l.newest(isReplaced); before != nil {
		before.Phase = isServing
	}
	return true
}

// parent is the generation whose successor may come: that which serves and has announced one, or the last that did. It is nil
// if nobody is upgrading.
func (l *generations) parent() *generation {
	if g := l.serving(); g != nil && l.upgrading {
		return g
	}
	return l.lost
}

// over reports whether the daemon has ended: nobody serves and nobody will, but a successor that has not spoken yet. When it was
// asked to end, those that drain are waited for too; when it has crashed, whoever is to start it
// again must not wait, unless one stands by: that says that it serves, or that it does not stand by any more.
func (l *generations) over() bool {
	if l.stopping {
		return len(l.all) == 0
	}
	return l.target() == nil && l.newest(isSpawned) == nil && l.newest(isStandby) == nil
}

// draining counts those that neither serve nor start.
func (l *generations) draining() int {
	n := 0
	for _, g := range l.all {
		if g.Phase == isReplaced || g.Phase == isStandby || g.Phase == isDraining {
			n++
		}
	}
	return n
}

// status is one line for people: "generation 4 serving, 2 draining".
func (l *generations) status() string {
	serving, starting := l.serving(), l.newest(isStarting)
	switch {
	case l.stopping:
		return fmt.Sprintf("stopping, generations left: %d", len(l.all))
	case serving == nil && starting == nil:
		if l.served {
			return "nothing serves"
		}
		return "nothing serves yet"
	case serving == nil:
		return fmt.Sprintf("generation %d starting", starting.Number)
	}
	text := fmt.Sprintf("generation %d serving", serving.Number)
	if n := l.draining(); n > 0 {
		text += fmt.Sprintf(", %d draining", n)
	}
	if l.upgrading {
		next, does := serving.Number+1, "starting"
		if starting != nil {
			next = cmp.Or(starting.Number, next)
			if starting.Trying {
				does = "on probation"
			}
		}
		text += fmt.Sprintf(", generation %d %s", next, does)
	}
	if l.failure != "" {
		text += "; " + l.failure
	}
	return text
}

package supervise

import (
	"cmp"
	"fmt"
	"slices"
)

// phase is what a generation has last said of itself.
type phase string

const (
	isBorn     phase = "born" // the supervisor has started it, and it has said nothing yet
	isStarting phase = "starting"
	isServing  phase = "serving"
	isReplaced phase = "replaced" // its successor says that it serves; it has not said that it drains
	isStandby  phase = "standby"  // it drains, and serves again if its successor dies
	isDraining phase = "draining"
)

// generation is one as the supervisor knows it.
type generation struct {
	PID       int    `json:"pid"`
	StartTime uint64 `json:"start_time"`
	Number    int    `json:"number"`
	Phase     phase  `json:"phase"`
	Version   int    `json:"version"` // of the protocol that it speaks
}

// line is the line of generations, and which of them serves. It is told of
// every event and every end, in the order in which they come. Not safe for concurrent use.
type line struct {
	Generations []*generation `json:"generations"`
	Upgrading   bool          `json:"upgrading"`         // the serving one starts its successor
	Failure     string        `json:"failure,omitempty"` // of the last upgrade; "" if that was none
	Stopping    bool          `json:"stopping"`          // the daemon ends
}

// serving is the generation that serves, nil if none does.
func (l *line) serving() *generation { return l.newest(isServing) }

// newest returns the newest generation in a phase, or nil.
func (l *line) newest(p phase) *generation {
	var found *generation
	for _, g := range l.Generations {
		if g.Phase == p && (found == nil || g.Number > found.Number) {
			found = g
		}
	}
	return found
}

// listening is the generation that signals go to: that which serves or, before the
// first one does, that which starts. It is nil as long as none handles signals.
func (l *line) listening() *generation {
	if g := l.serving(); g != nil {
		return g
	}
	return l.newest(isStarting)
}

func (l *line) find(pid int) *generation {
	i := slices.IndexFunc(l.Generations, func(g *generation) bool { return g.PID == pid })
	if i < 0 {
		return nil
	}
	return l.Generations[i]
}

// heard takes note of what the process pid has said, and returns its generation; nil for an
// event that means nothing from that process.
func (l *line) heard(pid int, e Event) *generation {
	g := l.find(pid)
	if g == nil && (e.Kind == Starting || e.Kind == Serving) {
		g = &generation{PID: pid, StartTime: e.StartTime, Number: e.Generation, Phase: isStarting, Version: e.Version}
		l.Generations = append(l.Generations, g)
	}
	if g == nil {
		return nil
	}
	g.Number, g.Version = cmp.Or(e.Generation, g.Number), e.Version
	switch e.Kind {
	case Starting:
		g.Phase = isStarting
	case Serving:
		l.replace(g)
		l.Upgrading, l.Failure = false, ""
	case Upgrading:
		l.Upgrading = g.Phase == isServing
	case Failed:
		l.replace(g)
		l.Upgrading, l.Failure = false, e.Text
	case Draining:
		g.Phase = isDraining
		if e.StandsBy {
			g.Phase = isStandby
		}
	case Stopping:
		l.Stopping = l.Stopping || g.Phase == isServing
		if g.Phase != isServing {
			g.Phase = isDraining
		}
	case Alive, Hurry, Keeping:
	}
	return g
}

// replace makes g the one that serves.
func (l *line) replace(g *generation) {
	if s := l.serving(); s != nil && s != g {
		s.Phase = isReplaced
	}
	g.Phase = isServing
}

// ended takes note of a process's end, and reports whether it was a generation's. Where the one
// that served is gone and the one before it has not said that it drains, that one serves on:
// its successor may have died in the moment in which it took over.
func (l *line) ended(pid int) bool {
	g := l.find(pid)
	if g == nil {
		return false
	}
	l.Generations = slices.DeleteFunc(l.Generations, func(o *generation) bool { return o == g })
	if g.Phase != isServing {
		return true
	}
	l.Upgrading = false
	if before := l.newest(isReplaced); before != nil {
		before.Phase = isServing
	}
	return true
}

// over reports whether the daemon has ended: nobody serves and nobody will. When it was
// asked to end, those that drain are waited for too; when it has crashed, whoever is to start it
// again must not wait, unless one stands by: that says that it serves, or that it does not stand by any more.
func (l *line) over() bool {
	if l.Stopping {
		return len(l.Generations) == 0
	}
	return l.listening() == nil && l.newest(isBorn) == nil && l.newest(isStandby) == nil
}

// final reports whether the last upgrade has been confirmed by both sides.
func (l *line) final() bool { return l.serving() != nil && l.newest(isReplaced) == nil }

// draining counts those that neither serve nor start.
func (l *line) draining() int {
	n := 0
	for _, g := range l.Generations {
		if g.Phase == isReplaced || g.Phase == isStandby || g.Phase == isDraining {
			n++
		}
	}
	return n
}

// status is one line for people: "generation 4 serving, 2 draining".
func (l *line) status() string {
	serving, starting := l.serving(), l.newest(isStarting)
	switch {
	case l.Stopping:
		return fmt.Sprintf("stopping, generations left: %d", len(l.Generations))
	case serving == nil && starting == nil:
		return "nothing serves yet"
	case serving == nil:
		return fmt.Sprintf("generation %d starting", starting.Number)
	}
	text := fmt.Sprintf("generation %d serving", serving.Number)
	if n := l.draining(); n > 0 {
		text += fmt.Sprintf(", %d draining", n)
	}
	if l.Upgrading {
		next := serving.Number + 1
		if starting != nil {
			next = cmp.Or(starting.Number, next)
		}
		text += fmt.Sprintf(", generation %d starting", next)
	}
	if l.Failure != "" {
		text += "; " + l.Failure
	}
	return text
}

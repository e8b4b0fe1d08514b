package engine

import "time"

// phase is where a generation is in its life.
type phase int

const (
	starting    phase = iota // it opens sockets, and waits for the program
	onProbation              // it serves, beside its parent
	serving                  // the PID file names it
	standingBy               // it drains, and serves again if its successor dies
	resuming                 // its successor has died, and it takes back what it has let go of
	draining                 // it drains, and ends then
	ending                   // it has drained, and nothing brings it back
)

var phaseNames = [...]string{"starting", "on probation", "serving", "standing by", "resuming", "draining", "ending"}

func (p phase) String() string { return phaseNames[p] }

// drains reports whether a generation in this phase accepts nothing more.
func (p phase) drains() bool { return p > serving }

// transition is a step from one phase to the next.
type transition struct {
	from, to phase
	when     string
}

// transitions are all that there are. docs/architecture.md has them as a table.
var transitions = []transition{
	{starting, onProbation, "the program has warmed up, and the parent wants a probation"},
	{starting, serving, "the program has warmed up"},
	{starting, draining, "it cannot become ready, or is asked to end"},
	{onProbation, serving, "the probation is over, or the parent is gone"},
	{onProbation, draining, "it is rolled back, or asked to end"},
	{serving, standingBy, "its successor has taken over"},
	{serving, draining, "it is asked to end; its successor has taken over, and it could not serve again; or it cannot write the PID file"},
	{standingBy, resuming, "its successor has died"},
	{standingBy, draining, "it is asked to end, its successor has a successor, or the program has closed a group"},
	{standingBy, ending, "its connections are gone"},
	{resuming, serving, "it has its sockets and the lock again"},
	{resuming, draining, "it cannot serve again, or is asked to end"},
	{draining, ending, "its connections are gone"},
}

// enterLocked changes the phase. A step that is not in the table is a mistake of ours; tests look for the line in the log.
func (e *Engine) enterLocked(to phase) {
	if !allowed(e.phase, to) {
		e.log.Error("no such transition", "from", e.phase.String(), "to", to.String())
	}
	if !e.phase.drains() || !to.drains() {
		e.entered = time.Now()
	}
	e.phase = to
}

func allowed(from, to phase) bool {
	for _, t := range transitions {
		if t.from == from && t.to == to {
			return true
		}
	}
	return false
}

// phaseIs reports whether the generation is in phase p.
func (e *Engine) phaseIs(p phase) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.phase == p
}

// drains reports whether this generation accepts nothing more.
func (e *Engine) drains() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.phase.drains()
}

// standsBy reports whether this generation would serve again.
func (e *Engine) standsBy() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.phase == standingBy || e.phase == resuming
}

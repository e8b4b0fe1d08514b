package engine

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

// event is what can change the phase of a generation.
type event int

const (
	probationBegins event = iota
	becameReady
	readyTimedOut
	startFailed
	rollbackAsked
	stopAsked
	replacedBySuccessor
	replacedForGood
	successorDied
	resumed
	resumeFailed
	standbyOver
	drained
)

var eventNames = [...]string{
	probationBegins:     "the program has warmed up, and its parent wants a probation",
	becameReady:         "the program has warmed up, or the probation is over",
	readyTimedOut:       "it is not ready in time",
	startFailed:         "it cannot serve, or not well",
	rollbackAsked:       "the operator rolls it back",
	stopAsked:           "it is asked to end",
	replacedBySuccessor: "its successor has taken over",
	replacedForGood:     "its successor has taken over, and this generation could not serve again",
	successorDied:       "its successor has died",
	resumed:             "it has its sockets and the lock again",
	resumeFailed:        "it cannot serve again",
	standbyOver:         "its standby ends, or it could no longer serve again",
	drained:             "its connections are gone",
}

func (ev event) String() string { return eventNames[ev] }

// transition says which phase comes next. Where it is the same one the event may come, and changes nothing.
type transition struct {
	from phase
	on   event
	to   phase
}

// transitions are all that there are. docs/architecture.md has them as a table, and a test compares.
var transitions = []transition{
	{starting, probationBegins, onProbation},
	{starting, becameReady, serving},
	{starting, readyTimedOut, draining},
	{starting, startFailed, draining},
	{starting, stopAsked, draining},

	{onProbation, probationBegins, onProbation}, // two groups are accepted on at the same time
	{onProbation, becameReady, serving},
	{onProbation, readyTimedOut, onProbation},
	{onProbation, startFailed, draining},
	{onProbation, rollbackAsked, draining},
	{onProbation, stopAsked, draining},

	{serving, probationBegins, serving},
	{serving, becameReady, serving},
	{serving, readyTimedOut, serving},
	{serving, startFailed, draining}, // it cannot write the PID file
	{serving, rollbackAsked, serving},
	{serving, stopAsked, draining},
	{serving, replacedBySuccessor, standingBy},
	{serving, replacedForGood, draining},

	{standingBy, probationBegins, standingBy}, // the program calls Ready again
	{standingBy, becameReady, standingBy},
	{standingBy, rollbackAsked, standingBy},
	{standingBy, stopAsked, draining},
	{standingBy, successorDied, resuming},
	{standingBy, standbyOver, draining},
	{standingBy, drained, ending},

	{resuming, probationBegins, resuming},
	{resuming, becameReady, resuming},
	{resuming, rollbackAsked, resuming},
	{resuming, stopAsked, resuming}, // resumed does not follow then
	{resuming, standbyOver, resuming},
	{resuming, drained, resuming}, // whoever has drained waits for what follows
	{resuming, resumed, serving},
	{resuming, resumeFailed, draining},

	{draining, probationBegins, draining},
	{draining, becameReady, draining},
	{draining, readyTimedOut, draining},
	{draining, startFailed, draining},
	{draining, rollbackAsked, draining},
	{draining, stopAsked, draining},
	{draining, replacedBySuccessor, draining}, // it was asked to end meanwhile
	{draining, replacedForGood, draining},
	{draining, successorDied, draining},
	{draining, standbyOver, draining},
	{draining, drained, ending},

	{ending, probationBegins, ending},
	{ending, becameReady, ending},
	{ending, rollbackAsked, ending},
	{ending, stopAsked, ending},
	{ending, successorDied, ending},
	{ending, standbyOver, ending},
}

// next is the phase that follows; ok is false for an event that is not expected.
func next(from phase, on event) (to phase, ok bool) {
	for _, t := range transitions {
		if t.from == from && t.on == on {
			return t.to, true
		}
	}
	return from, false
}

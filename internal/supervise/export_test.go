package supervise

// Generations are those that live.
type Generations struct{ generations }

// Heard takes note of an event, and reports whether it means something.
func (l *Generations) Heard(pid int, e Event) bool { return l.apply(pid, e) != nil }

// Spawned takes note of a first generation that has been started.
func (l *Generations) Spawned(pid int) {
	l.add(&generation{PID: pid, Number: 1, Phase: isSpawned})
}

// Add takes note of a process that is a generation, unless it is known as one.
func (l *Generations) Add(pid, number int) {
	if l.find(pid) == nil {
		l.add(&generation{PID: pid, Number: number, Phase: isStarting})
	}
}

// Ended takes note of an end.
func (l *Generations) Ended(pid int) bool { return l.ended(pid) }

// Serves is the PID of the generation that serves; 0 if none does.
func (l *Generations) Serves() int { return pidOf(l.serving()) }

// Target is the PID of the generation that signals go to.
func (l *Generations) Target() int { return pidOf(l.target()) }

// Over reports whether the daemon has ended.
func (l *Generations) Over() bool { return l.over() }

// Status is the line for people.
func (l *Generations) Status() string { return l.status() }

func pidOf(g *generation) int {
	if g == nil {
		return 0
	}
	return g.PID
}

// The functions that look at what others have written.
var (
	DecodeEvent  = decodeEvent
	OneLine      = oneLine
	IsSocketName = isSocketName
	Passable     = passable
)

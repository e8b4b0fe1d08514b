package supervise

// Line is the line of generations.
type Line struct{ line }

// Heard takes note of an event, and reports whether it means something.
func (l *Line) Heard(pid int, e Event) bool { return l.heard(pid, e) != nil }

// Born takes note of a first generation that has been started.
func (l *Line) Born(pid int) {
	l.Generations = append(l.Generations, &generation{PID: pid, Number: 1, Phase: isBorn})
}

// Ended takes note of an end.
func (l *Line) Ended(pid int) bool { return l.ended(pid) }

// Serves is the PID of the generation that serves; 0 if none does.
func (l *Line) Serves() int { return pidOf(l.serving()) }

// Listens is the PID of the generation that signals go to.
func (l *Line) Listens() int { return pidOf(l.listening()) }

// Over reports whether the daemon has ended.
func (l *Line) Over() bool { return l.over() }

// Final reports whether the last upgrade is.
func (l *Line) Final() bool { return l.final() }

// Status is the line for people.
func (l *Line) Status() string { return l.status() }

func pidOf(g *generation) int {
	if g == nil {
		return 0
	}
	return g.PID
}

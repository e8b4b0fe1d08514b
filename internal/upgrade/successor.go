package upgrade

// Successor is the next generation, which serves.
type Successor struct {
	PID        int
	Generation int
	PIDFile    string // "" if it has not said

	// Dropped are the groups whose listening sockets it has not taken over: what
	// waits in their queues is this process's.
	Dropped []string

	// ReportEnded is closed when it has ended its report, because it has told everybody
	// that it serves or has died, or at the latest after ten seconds.
	ReportEnded <-chan struct{}

	// Outcome, where this process stands by, has one value: nil when the successor has relieved this process of that,
	// which then calls EndStandby, or an *[Error] when it has died. After that this process can be upgraded again, and
	// Reopen its sockets; it must do that, or call EndStandby or Stop. No value comes after EndStandby. It is nil where this process does not stand
	// by, and where it has not all groups any more that it had.
	Outcome <-chan error

	dialogue *dialogue
}

// IsEnding reports whether it has died, or is about to: the kernel writes its core, or frees its memory, which may take seconds, before it closes
// what it has open. Outcome, if there is one, has its value after that.
func (s *Successor) IsEnding() bool { return s.dialogue.isEnding() }

// Reported reports whether it has said in its report that it has told everybody. Call it when ReportEnded is closed.
func (s *Successor) Reported() bool { return s.dialogue.rest.Ready }

package listener

import "time"

const (
	// emptyingPause is how long nobody may have come until a queue counts as empty. What waits in it is returned at once. A client whose
	// handshake has begun believes itself connected a round trip before the server does, and would be reset: the pause has room for one around
	// the world, and for a kernel that is busy. Of datagrams it is the time for answers to those that were read last.
	emptyingPause = 200 * time.Millisecond

	// EmptyingLimit bounds the emptying of a queue that fills as fast, and of one
	// that nobody accepts or reads from.
	EmptyingLimit = time.Second
)

// Emptying is how the kernel's queue of a socket is emptied before that is closed, by a deadline for each Accept or read. A lock of its owner's
// guards it. Begin comes first.
type Emptying struct {
	limit   time.Time // when it ends at the latest
	quietAt time.Time // when the queue is empty, if nobody comes
	pressed bool      // the next deadline is limit, as somebody was in the queue when the time was over
}

// Begin returns the first deadline.
func (e *Emptying) Begin() time.Time {
	e.limit = time.Now().Add(EmptyingLimit)
	return e.Postpone()
}

// Postpone gives the next client a moment, and returns its deadline. Every Accept or read has one of its own: the queue of
// a program that is late is not empty.
func (e *Emptying) Postpone() time.Time {
	until := time.Now().Add(emptyingPause)
	if e.pressed || until.After(e.limit) {
		until = e.limit
	}
	e.pressed, e.quietAt = false, until
	return until
}

// Until is the deadline that Postpone has returned last.
func (e *Emptying) Until() time.Time { return e.quietAt }

// IsOver reports whether a deadline that has passed says that nobody has come for a while. It may also be one from before, that of an
// adoption for instance, or may have passed before the call began that it was for: isQueued says whether somebody waits all the same.
func (e *Emptying) IsOver(isQueued func() bool) bool {
	now := time.Now()
	late := !now.Before(e.quietAt)
	e.pressed = late && now.Before(e.limit) && isQueued()
	return late && !e.pressed
}

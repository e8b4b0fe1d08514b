package client

import (
	"fmt"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
)

// How many events are believed: the daemon's user may send them without end, and each is shown. An upgrade has five, and two more for each other one that
// came before it. A drain has five in a second at most, for as long as it takes.
const (
	maxEvents       = 256 // of upgrades
	maxDrainAtOnce  = 128 // of a drain, beyond the pace
	maxDrainASecond = 10
)

// budget counts the events of one upgrade, or of one drain.
type budget struct {
	began  time.Time
	events int
	drain  int
}

func newBudget() *budget { return &budget{began: time.Now()} }

// take counts an event. The error wraps [ErrProtocol] and [ErrUnknownOutcome]: whoever sends so many may do anything.
func (b *budget) take(e protocol.EventType) error {
	if e == protocol.DrainBegan {
		b.drain++
		if float64(b.drain) > maxDrainAtOnce+maxDrainASecond*time.Since(b.began).Seconds() {
			return fmt.Errorf("%w: %w: %d events of a drain, and no more than %d a second are believed", ErrUnknownOutcome, ErrProtocol, b.drain, maxDrainASecond)
		}
		return nil
	}
	if b.events++; b.events > maxEvents {
		return fmt.Errorf("%w: %w: more than %d events", ErrUnknownOutcome, ErrProtocol, maxEvents)
	}
	return nil
}

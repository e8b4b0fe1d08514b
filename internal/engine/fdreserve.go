package engine

import (
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// lendTime is the longest that clients wait in the queues for an upgrade that is
// short of descriptors. It has taken all that it needs when the successor runs.
const lendTime = 2 * time.Second

// needed is how many descriptors an upgrade takes: pipes, a socket pair, files, a
// duplicate of each socket.
func (e *Engine) needed() int { return 32 + 2*e.groups.Len() }

// reserveFDs takes into reserve what the next upgrade will need, before clients take it.
func (e *Engine) reserveFDs() { e.fds.Fill(e.needed()) }

// lendFDs gives the reserve back where clients have taken all else, and holds them off for a
// moment, or they would take that too. done ends it.
func (e *Engine) lendFDs() (done func()) {
	if !process.Scarce(e.needed()) {
		return func() {}
	}
	resume := e.groups.Hold()
	e.fds.Release()
	timer := time.AfterFunc(lendTime, resume)
	return func() {
		timer.Stop()
		if e.life.is(serving) {
			e.reserveFDs()
		}
		resume()
	}
}

// saveState is writeState for a moment at which clients may have taken all descriptors.
func (e *Engine) saveState() error {
	err := e.writeState()
	if err == nil || !process.Scarce(1) {
		return err
	}
	defer e.lendFDs()()
	return e.writeState()
}

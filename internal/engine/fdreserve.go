package engine

import (
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/groups"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// lendTime is the longest that clients wait in the queues for an upgrade that is
// short of descriptors. It has taken all that it needs when the successor runs.
const lendTime = 2 * time.Second

// fdReserve keeps descriptors for upgrades, which clients would take otherwise.
type fdReserve struct {
	process.Reserve

	groups *groups.Set
	life   *life
}

// needed is how many descriptors an upgrade takes: pipes, a socket pair, files, a
// duplicate of each socket.
func (r *fdReserve) needed() int { return 32 + 2*r.groups.Len() }

// fill takes into reserve what the next upgrade will need, before clients take it.
func (r *fdReserve) fill() { r.Fill(r.needed()) }

// lend gives the reserve back where clients have taken all else, and holds them off for a
// moment, or they would take that too. done ends it.
func (r *fdReserve) lend() (done func()) {
	if !process.Scarce(r.needed()) {
		return func() {}
	}
	resume := r.groups.Hold()
	r.Release()
	timer := time.AfterFunc(lendTime, resume)
	return func() {
		timer.Stop()
		if r.life.is(serving) {
			r.fill()
		}
		resume()
	}
}

// call calls write, which may need a descriptor, and again with those of the reserve if there was none left.
func (r *fdReserve) call(write func() error) error {
	err := write()
	if err == nil || !process.Scarce(1) {
		return err
	}
	defer r.lend()()
	return write()
}

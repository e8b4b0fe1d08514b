package engine

import (
	"errors"
	"sync"
	"syscall"
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

	mu   sync.Mutex // guards what follows, and lending
	lent int        // to how many
}

// needed is how many descriptors an upgrade takes: pipes, a socket pair, files, a
// duplicate of each socket.
func (r *fdReserve) needed() int { return 32 + 2*r.groups.Len() }

// fill takes into reserve what the next upgrade will need, before clients take it. What is lent comes back by itself.
func (r *fdReserve) fill() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lent == 0 {
		r.Fill(r.needed())
	}
}

// crowd is how many clients may come, or move here, until an upgrade has taken what it needs.
const crowd = 256

// lend gives the reserve back where clients have taken all else, or soon may have, and holds them off for a
// moment, or they would take that too. done ends it, when all to whom it is lent are done; it may be called again.
func (r *fdReserve) lend() (done func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lent == 0 && !process.Scarce(r.needed()+crowd) {
		return func() {}
	}
	r.lent++
	resume := r.groups.Hold()
	r.Release()
	timer := time.AfterFunc(lendTime, resume)
	return sync.OnceFunc(func() {
		timer.Stop()
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.lent--; r.lent > 0 {
			return
		}
		if r.life.is(serving) {
			r.Fill(r.needed())
		}
		resume()
	})
}

// call calls write, which may need a descriptor, and again with those of the reserve if there was none left, though there may be one again.
func (r *fdReserve) call(write func() error) error {
	err := write()
	if !errors.Is(err, syscall.EMFILE) {
		return err
	}
	defer r.lend()()
	return write()
}

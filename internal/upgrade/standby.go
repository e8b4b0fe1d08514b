package upgrade

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// What a successor says to the generation before it, which stands by: a byte each.
const (
	saysTookOver   = 't' // it serves: this decides the upgrade
	saysEndStandby = 'r' // the line goes on without the generation that stands by, or ends
	saysHeir       = 'h' // by the successor's own successor: it has this channel, and goes on if the successor dies
	saysNoHeir     = 'n' // that one has failed
)

// successorWait is how long after a successor's end the one that it had begun to start may take to read its bootstrap message, which
// holds the other end of the channel as long as it lies in the bootstrap channel.
const successorWait = 6 * time.Second

// standby is this process's side of the channel to a successor behind which it stands by: when that dies, this
// process can serve again. The other end goes on to the successor's own successor, until that serves, so the channel ends
// when there is nobody left who serves or is about to.
type standby struct {
	ours   *os.File
	theirs *os.File // until it has been sent

	took     chan struct{}        // closed when the successor serves
	over     chan struct{}        // closed when nothing will come any more
	ended    bool                 // valid then
	heir     atomic.Pointer[heir] // the successor's own successor, which has the channel too; nil for none
	released atomic.Bool          // this process does not stand by any more
}

// heir is a successor's own successor, while that one starts.
type heir struct {
	pid   int
	start uint64
}

func newStandby() (*standby, error) {
	ours, theirs, err := standbyPair()
	if err != nil {
		return nil, err
	}
	s := &standby{ours: ours, theirs: theirs, took: make(chan struct{}), over: make(chan struct{})}
	go s.read()
	return s, nil
}

func (s *standby) read() {
	defer close(s.over)
	for taken := false; ; {
		word, ok := peek(s.ours)
		if !ok {
			return // also by release
		}
		switch word {
		case saysTookOver:
			if !taken {
				taken = true
				close(s.took)
			}
		case saysHeir, saysNoHeir:
			s.heir.Store(heard(s.ours, word))
			continue
		case saysEndStandby:
			s.ended = true
			return
		}
		// Only now, or hasTaken would find it neither waiting nor noted.
		if _, err := s.ours.Read(make([]byte, 1)); err != nil {
			return
		}
	}
}

// decided is closed when the successor serves. It is nil for a nil standby.
func (s *standby) decided() <-chan struct{} {
	if s == nil {
		return nil
	}
	return s.took
}

// hasTaken reports whether the successor has said that it serves, also where nobody has read that yet. It is false for a nil standby.
func (s *standby) hasTaken() bool {
	if s == nil {
		return false
	}
	if saysWaiting(s.ours) {
		return true
	}
	select {
	case <-s.took:
		return true
	default:
		return false
	}
}

// isEnded reports, once the successor has ended, whether the line goes on without it: it had taken over, and its own successor has since. It
// waits for that one where it is about to, but not longer than within. It is false for a nil standby.
func (s *standby) isEnded(within time.Duration) bool {
	if !s.hasTaken() {
		return false
	}
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-s.over:
		return s.ended
	case <-timer.C:
		return false
	}
}

// release ends it. The successor sees that, and that nothing is left here of what it may want to be the only one to have.
func (s *standby) release() {
	if s != nil && !s.released.Swap(true) {
		_ = s.ours.Close()
	}
}

// hasNoHeir reports whether the successor's own successor has ended too, or never was. One that is there has some time, and is killed then: nobody
// else is left who would. It reports false where that cannot be done.
func (s *standby) hasNoHeir(limit time.Duration) bool {
	heir := s.heir.Load()
	if heir == nil {
		return true
	}
	if heir.pid == 0 {
		return false
	}
	p, err := process.Open(heir.pid, heir.start)
	if err != nil {
		return errors.Is(err, os.ErrProcessDone)
	}
	defer p.Close()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-s.over:
		return true
	case <-timer.C:
	}
	if p.Signal(os.Kill) != nil {
		return false
	}
	timer.Reset(successorWait)
	select {
	case <-s.over:
	case <-timer.C: // its end goes on, or whoever it has forked has the channel, too
	}
	return true
}

// behind is a successor's side of that channel.
type behind struct {
	conn *os.File
	gone chan struct{} // closed when nobody stands by any more

	mu sync.Mutex // held while conn is passed on, and when it is closed
}

func openBehind(f *os.File) *behind { return &behind{conn: f, gone: make(chan struct{})} }

// watch waits for the channel's end, since nothing is ever said on it in this direction, and lets go of it then. An upgrade in progress
// may be passing it on.
func (b *behind) watch() {
	_, _ = b.conn.Read(make([]byte, 1))
	close(b.gone)
	b.mu.Lock()
	defer b.mu.Unlock()
	_ = b.conn.Close()
}

// say does nothing where nobody stands by.
func (b *behind) say(what byte) {
	if b != nil {
		_, _ = b.conn.Write([]byte{what})
	}
}

// stands reports whether somebody still stands by.
func (b *behind) stands() bool {
	if b == nil {
		return false
	}
	select {
	case <-b.gone:
		return false
	default:
		return true
	}
}

// passOn calls to with the channel, which stays open meanwhile; with nil where nobody stands by.
func (b *behind) passOn(to func(conn *os.File) error) error {
	if b == nil {
		return to(nil)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.stands() {
		return to(nil)
	}
	return to(b.conn)
}

// relieve has the process that stands by not do so any more, and waits until it has let go of all that it had kept for that, but not longer
// than within.
func (b *behind) relieve(within time.Duration) {
	if !b.stands() {
		return
	}
	b.say(saysEndStandby)
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-b.gone:
	case <-timer.C:
	}
}

package upgrade

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// What a successor says to the generation before it, which stands by: a byte each.
const (
	saysTookOver = 't' // it serves: this decides the upgrade
	saysRelieved = 'r' // the line goes on without the generation that stands by, or ends
)

// heirWait is how long after a successor's end the one that it had begun to start may take to read its bootstrap message, which
// holds the other end of the channel as long as it lies in the bootstrap channel.
const heirWait = 6 * time.Second

// standby is this process's side of the channel to a successor behind which it stands by: when that dies, this
// process can serve again. The other end goes on to the successor's own successor, until that serves, so the channel ends
// when there is nobody left who serves or is about to.
type standby struct {
	ours   *os.File
	theirs *os.File // until it has been sent

	took     chan struct{} // closed when the successor serves
	over     chan struct{} // closed when nothing will come any more
	relieved bool          // valid then
	resigned atomic.Bool   // this process does not stand by any more
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
	said := make([]byte, 1)
	for taken := false; ; {
		if n, err := s.ours.Read(said); n == 0 || err != nil {
			return // also by resign
		}
		switch said[0] {
		case saysTookOver:
			if !taken {
				taken = true
				close(s.took)
			}
		case saysRelieved:
			s.relieved = true
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

// isRelieved reports, once the successor has ended, whether the line goes on without it: it had taken over, and its own successor has since. It
// waits for that one where it is about to, but not longer than within. It is false for a nil standby.
func (s *standby) isRelieved(within time.Duration) bool {
	if !s.hasTaken() {
		return false
	}
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-s.over:
		return s.relieved
	case <-timer.C:
		return false
	}
}

// resign ends it. The successor sees that, and that nothing is left here of what it may want to be the only one to have.
func (s *standby) resign() {
	if s != nil && !s.resigned.Swap(true) {
		_ = s.ours.Close()
	}
}

// outcome waits for what becomes of the successor, whose end tableflip reports by ended. An error is that end; ok is false
// when this process does not stand by any more.
func (s *standby) outcome(ended <-chan error, discard func()) (died error, ok bool) {
	select {
	case <-s.over:
	case died = <-ended:
		timer := time.NewTimer(heirWait)
		defer timer.Stop()
		select {
		case <-s.over:
		case <-timer.C:
			discard()
			<-s.over
		}
	}
	if s.resigned.Load() || s.relieved {
		return nil, s.relieved && !s.resigned.Load()
	}
	if died == nil {
		died = <-ended // it has just closed all its descriptors
	}
	return died, true
}

// behind is a successor's side of that channel.
type behind struct {
	conn *os.File
	gone chan struct{} // closed when nobody stands by any more
}

func openBehind(f *os.File) *behind { return &behind{conn: f, gone: make(chan struct{})} }

// watch waits for the channel's end: nothing is ever said on it in this direction.
func (b *behind) watch() {
	_, _ = b.conn.Read(make([]byte, 1))
	close(b.gone)
}

func (b *behind) say(what byte) { _, _ = b.conn.Write([]byte{what}) } // or the process that stands by has ended

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

// Relieve has the previous generation not serve again, whatever happens, and waits until it has let go of all that it had kept
// for that, but not longer than within. A generation calls it when it is about to end the daemon, or has dropped a group
// that the previous one had too. Its own successor has done so before, where that serves.
func (u *Upgrader) Relieve(within time.Duration) {
	b := u.standsBehind()
	if !b.stands() {
		return
	}
	b.say(saysRelieved)
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-b.gone:
	case <-timer.C:
	}
}

func (u *Upgrader) standsBehind() *behind {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.behind
}

// Resign says that this process will not serve again, and lets go of the listening sockets, of which it has none of
// its own any more. The successor learns of it. It is for a process that has been replaced, and may be called more than once.
func (u *Upgrader) Resign() {
	u.mu.Lock()
	s := u.standby
	u.standby = nil
	u.mu.Unlock()
	u.held.close(none)
	s.resign() // last: it says that all of that is done
}

func none(string) bool { return false }

// diedError is why a successor serves no longer, in an operator's words. tableflip has the cause as text only (process.go and
// upgrader.go, v1.2.3).
func diedError(pid int, ended error, crash string) *Error {
	how := "exit status 0"
	if _, text, ok := strings.Cut(ended.Error(), " exited: "); ok {
		how = text
	}
	if crash != "" {
		how = crash
	}
	return &Error{Stage: StageServing, PID: pid, Err: fmt.Errorf("it %w: %s", errDied, how)}
}

// errDied is wrapped by the error of an upgrade whose process has taken over and died.
var errDied = errors.New("died after it had taken over")

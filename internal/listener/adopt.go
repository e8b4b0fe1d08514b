package listener

import (
	"fmt"
	"net"
	"sync"
)

// inbox has the adopted connections that wait for Accept. Its Listener's lock guards it, but for arrived.
type inbox struct {
	waiting []socket
	arrived chan struct{} // has a value when somebody may wait
}

func (b *inbox) hasAny() bool { return len(b.waiting) > 0 }

// announce wakes an Accept that does not wait for the socket.
func (b *inbox) announce() {
	select {
	case b.arrived <- struct{}{}:
	default:
	}
}

func (b *inbox) put(s socket) {
	b.waiting = append(b.waiting, s)
	b.announce()
}

// take returns the first, or nil.
func (b *inbox) take() net.Conn {
	if !b.hasAny() {
		return nil
	}
	first := b.waiting[0]
	b.waiting = b.waiting[1:]
	if b.hasAny() {
		b.announce()
	}
	return first
}

// clear returns all.
func (b *inbox) clear() []socket {
	all := b.waiting
	b.waiting = nil
	return all
}

// adopt counts c among the listener's.
func (l *Listener) adopt(c net.Conn) (socket, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.round
	if l.closed.isSet() || r.drained.isSet() || r.draining.isSet() && l.idle.policy != moveIdle {
		return nil, fmt.Errorf("listen: group %s accepts nothing any more: %w", l.opts.Group, net.ErrClosed)
	}
	s := wrap(c, l, r)
	l.conns.adopt(s)
	return s, nil
}

// Expect keeps the listener from having drained until over is called: until then older generations may hand over connections to it, which
// move on. over may be called again, and from any goroutine.
func (l *Listener) Expect() (over func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns.coming++
	return sync.OnceFunc(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.conns.coming--
		l.checkDrainedLocked()
	})
}

// offer has Accept return s, also one that waits already, and also while the
// listener drains. After the program's own Close nobody would ever take s.
func offer(s socket) {
	l := s.part().ln
	l.mu.Lock()
	isClosed := l.closed.isSet()
	if !isClosed {
		l.inbox.put(s)
		l.door.setDeadline(true)
	}
	l.mu.Unlock()
	if isClosed {
		_ = s.Close()
	}
}

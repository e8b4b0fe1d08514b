package listener

import (
	"fmt"
	"net"
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

// Adopt takes over a connection from an older generation, with what that one's
// handler gave along. With state it waits for Accept at once. Without, nothing has
// been read of its next request, and it is parked until there is something to
// read: until then it costs a goroutine, and no adapter's timeout for requests
// runs. After an error the connection is the caller's, and untouched: the listener
// is closed, or drains with nobody to pass it on to.
func (l *Listener) Adopt(c net.Conn, state []byte) error {
	return l.adopt(c, func(s socket) {
		s.setAdopted(state)
		if len(state) > 0 {
			l.putLocked(s)
			return
		}
		l.parking.begin(s)
	})
}

// adopt adopts c, and has begin say what becomes of it, under the lock.
func (l *Listener) adopt(c net.Conn, begin func(socket)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.round
	if l.closed.isSet() || r.drained.isSet() || r.draining.isSet() && l.idle.policy != moveIdle {
		return fmt.Errorf("listen: group %s accepts nothing any more: %w", l.opts.Group, net.ErrClosed)
	}
	s := wrap(c, l, r)
	l.conns.adopt(s)
	begin(s)
	return nil
}

// offer has Accept return c, whose part t is, also one that waits already, and also while the
// listener drains. After the program's own Close nobody would ever take c.
func (t *tracked) offer(c socket) {
	if !t.offered(c) {
		_ = c.Close()
	}
}

func (t *tracked) offered(c socket) bool {
	l := t.ln
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed.isSet() {
		return false
	}
	l.putLocked(c)
	return true
}

// putLocked has Accept return s.
func (l *Listener) putLocked(s socket) {
	l.inbox.put(s)
	l.door.setDeadline(true)
}

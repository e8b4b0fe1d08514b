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
	answered, err := l.Reserve(c, state)
	if err == nil {
		answered(nil)
	}
	return err
}

// Reserve is Adopt for a connection that may not be used before the older generation has been answered: answered is called when
// that is so, or with an error when it could not be, which may mean that there is no older generation any more.
func (l *Listener) Reserve(c net.Conn, state []byte) (answered func(error), err error) {
	s, err := l.reserve(c)
	if err != nil {
		return nil, err
	}
	s.setAdopted(state)
	if len(state) > 0 {
		return func(error) { s.offer(s) }, nil
	}
	return func(error) { l.park(s, l.opts.unread()) }, nil
}

// reserve counts c among the listener's.
func (l *Listener) reserve(c net.Conn) (socket, error) {
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

func (l *Listener) park(s socket, w way) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.parking.begin(s, w)
}

// unread is the way of an adopted connection that brings no state.
func (o *Options) unread() way {
	if o.SilentKey != "" {
		return silentWay
	}
	return openWay
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

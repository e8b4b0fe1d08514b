package listener

import (
	"fmt"
	"net"
	"syscall"
	"time"
)

// Successor takes connections that a draining generation gives away. key is the HandoverKey of
// their listener.
type Successor interface {
	// Takes reports whether connections can be moved at all, at this moment.
	Takes(key string) bool

	// Move gives away the socket of a connection. After nil it is the
	// successor's, and the caller closes its own descriptor; after an error
	// it is as before.
	Move(key string, state []byte, socket syscall.Conn) error
}

// idlePolicy is what becomes of idle connections when the listener drains.
type idlePolicy int

const (
	keepIdle  idlePolicy = iota // they stay until they end, or until the deadline
	moveIdle                    // they move to the successor
	closeIdle                   // they end at once
)

// MoveIdle has idle connections move to s when the listener drains, and makes
// [Conn].Handover work. It is called before the drain; without it idle
// connections stay until they end. It changes nothing where Options have no HandoverKey, or the successor does not take
// that.
func (l *Listener) MoveIdle(s Successor) {
	if l.opts.HandoverKey == "" || !s.Takes(l.opts.HandoverKey) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.whenIdle, l.successor = moveIdle, s
}

// CloseIdle has idle connections end when the listener drains, since nobody will
// take over. Only the receiving side is shut down, and so a request that has
// already arrived is still answered.
func (l *Listener) CloseIdle() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.whenIdle = closeIdle
}

// Moves reports whether an idle connection of the draining listener moves to the
// successor. Adapters ask it before they tell a client to close its connection.
func (l *Listener) Moves() bool {
	policy, s := l.idlePolicy()
	return policy == moveIdle && s.Takes(l.opts.HandoverKey)
}

func (l *Listener) idlePolicy() (idlePolicy, Successor) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.whenIdle, l.successor
}

// handOver gives c's socket to the successor.
func (l *Listener) handOver(c socket, s syscall.Conn, state []byte) error {
	policy, to := l.idlePolicy()
	if policy != moveIdle {
		return ErrNoSuccessor
	}
	if err := to.Move(l.opts.HandoverKey, state, s); err != nil {
		return fmt.Errorf("%w: %w", ErrNoSuccessor, err)
	}
	c.setMoved()
	_ = c.Close() // only our descriptor: the successor has its own
	return nil
}

// Adopt takes over a connection from an older generation, with what that one's
// handler gave along. With state it waits for Accept at once. Without, nothing has
// been read of its next request, and it is parked until there is something to
// read: until then it costs a goroutine, and no adapter's timeout for requests
// runs. After an error the connection is the caller's, and untouched: the listener
// is closed, or drains with nobody to pass it on to.
func (l *Listener) Adopt(c net.Conn, state []byte) error {
	s := l.wrap(c, l.current(), state)
	s.setAdopted()
	if err := l.admit(s); err != nil {
		return err
	}
	if len(state) > 0 {
		l.offer(s)
		return nil
	}
	l.parked.Add(1)
	go l.park(s, l.parkingTime())
	return nil
}

func (l *Listener) admit(s socket) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shut || l.gone || (l.stopped && l.whenIdle != moveIdle) {
		return fmt.Errorf("listen: group %s accepts nothing any more: %w", l.opts.Group, net.ErrClosed)
	}
	l.in++
	l.conns[s] = false
	return nil
}

// offer has Accept return s, also one that waits already, and also while the
// listener drains. After the program's own Close nobody would ever take s.
func (l *Listener) offer(s socket) {
	if !l.enqueue(s) {
		_ = s.Close()
	}
}

func (l *Listener) enqueue(s socket) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shut {
		return false
	}
	l.adopted = append(l.adopted, s)
	l.announceLocked()
	return true
}

// deadliner is a listener whose Accept can be interrupted: any socket.
type deadliner interface{ SetDeadline(t time.Time) error }

// announceLocked wakes those who wait in Accept. The deadline in the past stays as
// long as a connection waits, so that no call can miss it.
func (l *Listener) announceLocked() {
	if d, ok := l.inner.(deadliner); ok && !l.stopped {
		_ = d.SetDeadline(longAgo)
	}
	select {
	case l.arrived <- struct{}{}:
	default:
	}
}

// nextAdoptedLocked takes the first adopted connection out of the queue, or
// returns nil.
func (l *Listener) nextAdoptedLocked() net.Conn {
	if len(l.adopted) == 0 {
		return nil
	}
	next := l.adopted[0]
	l.adopted = l.adopted[1:]
	if len(l.adopted) > 0 {
		l.announceLocked()
	} else if d, ok := l.inner.(deadliner); ok && !l.stopped && l.held == nil {
		_ = d.SetDeadline(noDeadline)
	}
	return next
}

// longAgo is a deadline that has passed, and noDeadline none.
var (
	longAgo    = time.Unix(1, 0)
	noDeadline time.Time
)

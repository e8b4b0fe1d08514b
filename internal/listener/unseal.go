package listener

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
)

// TakeSealed has the listener adopt connections with the state of a [Cargo] that admit allows. Who calls it gets them from Accept, and asks [Unseal] of each, until it calls stop or somebody else calls TakeSealed.
func (l *Listener) TakeSealed(admit Admission) (stop func()) {
	own := &check{admit}
	l.sealed.mu.Lock()
	defer l.sealed.mu.Unlock()
	l.sealed.check = own
	return func() {
		l.sealed.mu.Lock()
		defer l.sealed.mu.Unlock()
		if l.sealed.check == own {
			l.sealed.check = nil
		}
	}
}

// check is that of one call of TakeSealed or admitBy.
type check struct{ admit Admission }

// ReserveSealed is [Listener.Reserve] with the state of a [Cargo], which is the listener's if there is no error. Where the older generation could not be answered it is closed: it may have it still.
func (l *Listener) ReserveSealed(c net.Conn, state []byte) (answered func(error), err error) {
	l.sealed.mu.Lock()
	now := l.sealed.check
	l.sealed.mu.Unlock()
	if now == nil {
		return nil, fmt.Errorf("listen: nobody serves such connections of group %s", l.opts.Group)
	}
	arrival, err := now.admit(state)
	if err != nil {
		return nil, err
	}
	s, err := l.reserve(c)
	if err != nil {
		return nil, err
	}
	s.setAdopted(nil)
	s.keepSealed(state)
	return func(err error) {
		if err != nil {
			_ = s.Close()
			return
		}
		l.arrive(s, arrival, sealedWay)
	}, nil
}

// Unseal returns the state with which the connection below c, see [FromConn], has come from an older generation, or nil. It does so once; the caller
// clears it.
func Unseal(c net.Conn) []byte {
	conn, ok := FromConn(c)
	if !ok {
		return nil
	}
	if s, ok := conn.(socket); ok {
		return s.unseal()
	}
	return nil
}

// HasSealed reports whether connections can move with a [Cargo].
func (l *Listener) HasSealed() bool { return l.opts.SealedKey != "" }

// IsSilent reports whether nothing has been read from the connection below c, see [FromConn].
func IsSilent(c net.Conn) bool {
	conn, ok := FromConn(c)
	if !ok {
		return false
	}
	s, ok := conn.(socket)
	return ok && s.bytesRead() == 0
}

// HasMoved reports whether the connection below c, see [FromConn], is the successor's.
func HasMoved(c net.Conn) bool {
	conn, ok := FromConn(c)
	if !ok {
		return false
	}
	s, ok := conn.(socket)
	return ok && s.hasMoved()
}

func (t *tracked) keepSealed(state []byte) { t.box.put(state) }
func (t *tracked) cameSealed() bool        { return t.box.used.Load() }
func (t *tracked) unseal() []byte          { return t.box.take() }
func (t *tracked) seal() Cargo             { return &t.box }

// box has the state of a connection that nobody has used since it came: it can go on as it is. The end of the connection clears it.
type box struct {
	mu    sync.Mutex // guards state
	state []byte
	used  atomic.Bool // there was one
}

func (b *box) put(state []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state = state
	b.used.Store(true)
}

func (b *box) take() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	state := b.state
	b.state = nil
	return state
}

func (b *box) clear() { clear(b.take()) }

// Pack implements [Cargo].
func (b *box) Pack([]byte) ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state == nil {
		return nil, net.ErrClosed
	}
	return append(make([]byte, 0, len(b.state)), b.state...), nil
}

// Stay implements [Cargo].
func (b *box) Stay() {}

// Left implements [Cargo].
func (b *box) Left() error {
	b.clear()
	return nil
}

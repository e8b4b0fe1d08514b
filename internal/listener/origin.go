package listener

import (
	"net"
	"sync"
)

// origin is what a connection has come with from an older generation. It is set before Accept has returned it.
type origin struct {
	adopted bool
	way     Way
	state   []byte // until somebody goes on with it; that of SealedWay is in box
	told    bool   // its client is to be told before it ends
	over    bool   // its idle timeout
	box     box
}

func (o *origin) set(w Way, state []byte, told bool) {
	o.adopted, o.way, o.told = true, w, told
	if w == SealedWay {
		o.box.put(state)
	} else {
		o.state = state
	}
}

// Take returns the state with which c, as Accept has returned it, has come by HTTP2Way or HijackedWay, once; nil if it has not. It goes on from that.
func Take(c net.Conn, w Way) (state []byte) {
	s, ok := c.(socket)
	if !ok || s.part().came.way != w {
		return nil
	}
	came := &s.part().came
	state, came.state = came.state, nil
	return state
}

// Unseal returns the state with which the connection below c, see [FromConn], has come by SealedWay, or nil. It does so once; the caller
// clears it.
func Unseal(c net.Conn) []byte {
	if s, ok := socketBelow(c); ok {
		return s.part().came.box.take()
	}
	return nil
}

// IsOver reports whether the idle timeout of the connection below c, see [FromConn], was over when Accept returned it: its client is to be sent away.
func IsOver(c net.Conn) bool {
	s, ok := socketBelow(c)
	return ok && s.part().came.over
}

// box has the state of a connection that nobody has used since it came: it can go on as it is. The end of the connection clears it.
type box struct {
	mu    sync.Mutex // guards state
	state []byte
}

func (b *box) put(state []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state = state
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

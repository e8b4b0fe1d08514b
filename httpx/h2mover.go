package httpx

import (
	"sync/atomic"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/h2move"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
)

// h2Mover has an HTTP/2 connection move to the successor while no stream is open on it, and takes it up there.
//
// While the listener drains, new streams are held back, and those that are open go on. When the server has none any more it gets a PING of ours. When
// it has answered that, and nothing of the client's has reached it in between, all that it has to say has been said, and the
// connection moves, with what has been held back. Where that does not come to pass within holdLimit, or the connection cannot move, what has been held
// back goes to the server, and the client is sent away.
//
// All of this happens in the goroutine of the server that reads. Others wake it, by look.
type h2Mover struct {
	conn *h2Conn
	sock listener.Conn
	from *listener.IdleReader

	came     *h2move.Restore // what the server learns of what was before; nil of a new connection
	ready    atomic.Bool     // it has learned that
	handlers atomic.Int32    // that run

	// Touched by Read only.
	gate  *h2move.Gate // nil unless new streams are held back
	queue []byte       // of the client's, what the server is to read next
	ping  []byte       // the same, of ours
	clean bool         // nothing of the client's has reached the server since the PING
	proof proofState   // of the keys, where the last record gives none
	spent bool         // what was read from the layer below has been used up: it has been woken since
	err   error        // of the connection

	// Guarded by conn.writing.
	barrier h2move.Barrier
	gone    bool // to the successor

	attempt h2Attempt
}

// proofState is whether the client was asked for another record, by a PING.
type proofState int

const (
	proofUnasked proofState = iota
	proofAsked              // and nothing has come since
	proofCame
)

// Read gives the server what it may have of the client's, and frames of ours.
func (m *h2Mover) Read(b []byte) (int, error) {
	if n := m.takeUp(b); n > 0 {
		return n, nil
	}
	for {
		if n := m.next(b); n > 0 {
			return n, nil
		}
		if m.err != nil {
			return 0, m.err
		}
		if m.hasDrained() && m.decide() {
			continue
		}
		n, err := m.from.ReadWoken(b)
		if m.spent = err == listener.ErrWoken; m.spent { //nolint:errorlint // it is this very error
			continue
		}
		if m.gate == nil {
			m.pass(b[:n])
			return n, err
		}
		m.queue = m.gate.Push(&m.conn.in, b[:n], m.queue)
		if err != nil {
			m.open()
			m.err = err
		}
	}
}

// takeUp has the server learn what was before, on a connection that has come.
func (m *h2Mover) takeUp(b []byte) int {
	if m.ready.Load() {
		return 0
	}
	if n := m.came.Read(b); n > 0 {
		return n
	}
	m.ready.Store(true)
	return 0
}

// next gives the server what waits for it.
func (m *h2Mover) next(b []byte) int {
	if len(m.ping) > 0 {
		n := copy(b, m.ping)
		m.ping = m.ping[n:]
		return n
	}
	n := copy(b, m.queue)
	m.pass(b[:n])
	if m.queue = m.queue[n:]; len(m.queue) == 0 {
		m.queue = nil
	}
	return n
}

// pass follows what the server gets of the client's.
func (m *h2Mover) pass(b []byte) {
	if len(b) > 0 {
		m.clean = false
		if m.proof == proofAsked {
			m.proof = proofCame
		}
		m.conn.in.Follow(b)
	}
}

// hasDrained reports whether the connection's listener drains or, after it has resumed, once did.
func (m *h2Mover) hasDrained() bool { return isClosed(m.sock.Draining()) }

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// look has a Read that waits look whether the connection can move now.
func (m *h2Mover) look() {
	if m.attempt.isOn.Load() {
		m.from.Wake()
	}
}

// tries reports whether the connection may still move. If it does not, its client is sent away then. The listener wakes it when it is its turn.
func (m *h2Mover) tries() bool {
	return m.isLeaving() && m.attempt.owe()
}

// stay is called when the drain is called off. In the next one the connection may move.
func (m *h2Mover) stay() {
	m.attempt.forget()
	m.look()
}

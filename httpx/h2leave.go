package httpx

import (
	"errors"
	"io"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/h2move"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
)

// errStreams is why a connection stays that is never without a stream.
var errStreams = errors.New("httpx: streams, or a part of a record, were not over in time")

// decide goes on with the move, or gives it up, and reports whether Read has something new to give.
func (m *h2Mover) decide() bool {
	if m.isLeaving() {
		m.try()
	} else {
		m.settle()
	}
	return len(m.queue)+len(m.ping) > 0 || m.err != nil
}

// isLeaving reports whether the connection is to move, or to try.
func (m *h2Mover) isLeaving() bool {
	return !m.attempt.hasFailed() && !m.conn.isAway() && m.from.MovesHTTP2()
}

// try goes on with the move as far as it can.
func (m *h2Mover) try() {
	if m.conn.in.Skip > 0 { // the client has not begun
		return
	}
	late := m.attempt.isLate()
	if m.gate == nil {
		m.proof = proofUnasked
		m.gate = h2move.NewGate(&m.conn.in)
		m.attempt.begin(m.look)
	}
	goesOn := false
	if m.handlers.Load() == 0 && m.conn.isIdle() {
		if m.conn.writing.TryLock() {
			goesOn = m.tryIdle()
			m.conn.writing.Unlock()
		} else { // what the server writes without a stream, as the answer to a PING; it looks afterwards
			goesOn = true
		}
	}
	if m.gate != nil && (late && !goesOn || m.gate.IsFull()) {
		m.from.NoteStay("streams", errStreams)
		m.giveUp()
	}
}

// tryIdle is try where the server has no stream open. The caller holds writing. It reports whether the move does not wait for the client: then it
// goes on also when it is late, since what is slow is this process.
func (m *h2Mover) tryIdle() (goesOn bool) {
	c := m.conn
	switch {
	case h2move.Never(&c.in, &c.out) != "":
		_, err := h2move.NewState(&c.in, &c.out, nil)
		m.from.NoteStay("state", err)
		m.giveUp()
	case !h2move.IsSettled(&c.in, &c.out), m.proof == proofAsked:
	case m.barrier.IsAsked(), !m.barrier.IsBetween(), c.haveOurs():
		return m.clean
	case !m.clean:
		m.clean, m.ping = true, m.barrier.Ask()
		return true
	case !m.spent: // TLS may have read ahead: it is to give what it has, and no more
		m.from.Wake()
		return true
	default:
		m.leave()
		return m.gone
	}
	return false
}

// leave moves the connection. The caller holds writing, and the server does not read: from here on nobody says anything.
func (m *h2Mover) leave() {
	state, err := h2move.NewState(&m.conn.in, &m.conn.out, m.gate.Held())
	if err == nil {
		err = m.from.HandOver(listener.HTTP2Way, state.Append(nil))
	} else {
		m.from.NoteStay("state", err)
	}
	var why *listener.StayError
	switch {
	case err == nil:
		m.gone, m.err = true, io.EOF
		m.attempt.stop()
	case errors.Is(err, listener.ErrBusy): // a part of a record has come, and the rest is to follow
	case errors.As(err, &why) && why.Passes && m.proof == proofUnasked: // and it does with the next records, of either side
		m.proof = proofAsked
		m.conn.queueOurs(goAwayPing)
		_ = m.conn.writeOurs() // the server's own next write meets the same error
	default:
		m.giveUp() // it is as before
	}
}

// isGone reports whether the connection has moved. The caller holds writing.
func (m *h2Mover) isGone() bool { return m != nil && m.gone }

// giveUp has the connection stay in this drain. That may have been called off meanwhile.
func (m *h2Mover) giveUp() {
	m.attempt.giveUp(listener.IsDraining(m.sock))
	m.settle()
}

// settle is for a connection that does not move, or not any more.
func (m *h2Mover) settle() {
	m.open()
	if m.attempt.pay() && listener.IsDraining(m.sock) {
		go m.conn.sendAwaySoon() // it may block as long as the client does not read
	}
}

// open lets the server have what has been held back.
func (m *h2Mover) open() {
	if m.gate != nil {
		m.queue = append(m.queue, m.gate.Held()...)
		m.gate = nil
		m.attempt.stop()
	}
}

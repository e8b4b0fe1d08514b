package tlswatch

import (
	"crypto/tls"
	"encoding/binary"
	"errors"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tlsrec"
)

// Freeze returns the state for a move. From then on until [Conn.Thaw] nothing goes out or in: a Read fails as at a deadline, and a
// Write fails, which tls.Conn takes for final; nothing but its Close has a reason to write while the connection is idle. Close
// closes the connection below and writes nothing.
//
// It refuses unless both directions are between two records, tls.Conn has used up all that came (it has called Read since the last
// byte, and that Read has returned, at a deadline), and the last record of each direction proves the keys and numbers. What the
// program has read and not used, in a buffer above tls.Conn, is for the caller to know. The error is a [tlsrec.Reason].
func (c *Conn) Freeze() (*tlsrec.State, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.movable(); err != nil {
		return nil, err
	}
	for _, f := range []*flow{&c.in, &c.out} {
		if err := c.prove(f); err != nil {
			return nil, err
		}
	}
	s, err := tlsrec.NewState(c.state, c.in.half, c.out.half)
	if err != nil {
		return nil, err
	}
	c.frozen, c.audit = true, auditNone
	return s, nil
}

// movable returns why the connection stays, as far as that needs no proof.
func (c *Conn) movable() error {
	switch {
	case Err() != nil:
		return tlsrec.Off
	case c.closed:
		return tlsrec.Closed
	case c.frozen:
		return tlsrec.Frozen
	case c.why != "":
		return c.why
	case c.watch == nil:
		return tlsrec.Untracked
	case !c.complete || c.state.Suite == 0:
		return tlsrec.Handshake
	case c.reading:
		return tlsrec.Reading
	case c.writing || c.in.have != 0 || c.out.have != 0:
		return tlsrec.Busy
	case !c.asked:
		return tlsrec.Unread
	}
	return nil
}

// Thaw says that the move was refused before the other side could read or write. If tls.Conn has tried to write meanwhile it is
// at its end, and the connection never moves; else all goes on as if nothing had been. Without a Freeze it does nothing.
func (c *Conn) Thaw() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.frozen || c.moved.Load() {
		return
	}
	c.frozen = false
	if c.audit != auditNone || c.closed {
		c.lose(tlsrec.Closed)
	}
}

// Audit is called when the other process has the connection, and c, below tc, is frozen. It has tc write a close_notify, which goes
// nowhere: that must be the record which the state says is the next one. If it is not, crypto/tls does something that this package does
// not know; then no connection moves any more in this process ([Err]), and the error is [ErrAudit]. The connection that has moved is lost with
// that, and maybe a key: the caller says so, loudly. Afterwards tc is to be closed.
func (c *Conn) Audit(tc *tls.Conn) error {
	c.mu.Lock()
	if !c.frozen {
		c.mu.Unlock()
		return errors.New("tlswatch: audit of a connection that has not moved")
	}
	c.moved.Store(true)
	c.mu.Unlock()
	_ = tc.CloseWrite() // the error is that of an earlier one
	c.mu.Lock()
	result := c.audit
	c.forget()
	c.mu.Unlock()
	switch result {
	case auditClose, auditGood: // good: something else was refused before, and has used up the number
		return nil
	}
	return switchOff(ErrAudit) // also if nothing was written at all
}

// check compares the first record that comes while the connection is frozen with what is due. mu is held.
func (c *Conn) check(p []byte) {
	if c.audit != auditNone || c.out.half == nil {
		return
	}
	c.audit = auditBad
	if len(p) < tlsrec.HeaderLen || len(p) != tlsrec.HeaderLen+int(binary.BigEndian.Uint16(p[3:])) {
		return
	}
	kind, content, err := c.out.half.OpenAt(nil, c.out.half.Seq, p)
	switch {
	case err != nil:
	case kind == tlsrec.TypeAlert && len(content) == 2 && content[1] == 0:
		c.audit = auditClose
	default:
		c.audit = auditGood
	}
}

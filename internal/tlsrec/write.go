package tlsrec

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
)

// errShutdown is crypto/tls's of that name.
var errShutdown = errors.New("tls: protocol is shutdown")

// outPool has buffers for one record each.
var outPool = sync.Pool{New: func() any {
	b := make([]byte, 0, maxPlaintext+overhead)
	return &b
}}

// Write writes b in records of at most 16384 bytes, each in one call of the Write below. After an error nothing is written any more.
func (c *Conn) Write(b []byte) (int, error) {
	for {
		calls := c.calls.Load()
		if calls&1 != 0 {
			return 0, net.ErrClosed
		}
		if c.calls.CompareAndSwap(calls, calls+2) {
			break
		}
	}
	defer c.calls.Add(-2)
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	switch {
	case c.out.frozen:
		return 0, Frozen
	case c.out.err != nil:
		return 0, c.out.err
	case c.out.closed:
		return 0, errShutdown
	}
	written := 0
	for len(b) > 0 {
		n := min(len(b), maxPlaintext)
		if c.out.half.Seq >= updateAfter {
			if err := c.writeKeyUpdate(false); err != nil {
				return written, err
			}
		}
		if err := c.writeRecord(TypeApplicationData, b[:n]); err != nil {
			return written, err
		}
		written += n
		b = b[n:]
	}
	return written, nil
}

// writeRecord writes one record, unless the connection is frozen or writing has failed. out.mu is held.
func (c *Conn) writeRecord(kind byte, content []byte) error {
	switch {
	case c.out.frozen: // nothing asks for a record then; should something all the same, it must not go out
		return Frozen
	case c.out.err != nil:
		return c.out.err
	}
	b := outPool.Get().(*[]byte)
	defer outPool.Put(b)
	record, err := c.out.half.Seal((*b)[:0], kind, content)
	if err == nil {
		_, err = c.conn.Write(record)
	}
	if err != nil { // part of the record may be on its way: nothing can follow
		c.out.err = permanent(err)
	}
	return c.out.err
}

// writeKeyUpdate writes a KeyUpdate and goes on to the next key. out.mu is held.
func (c *Conn) writeKeyUpdate(request bool) error {
	message := keyUpdate
	if request {
		message[4] = 1
	}
	if err := c.writeRecord(TypeHandshake, message[:]); err != nil {
		return err
	}
	c.out.half.Update()
	return nil
}

// UpdateKeys sends a KeyUpdate, which has the peer read with the next key, and answer with one of its own if request. It is done
// in time without this call.
func (c *Conn) UpdateKeys(request bool) error {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	if c.out.closed {
		return errShutdown
	}
	return c.writeKeyUpdate(request)
}

// sendKeyUpdate is writeKeyUpdate for the reader. The next Write has its error.
func (c *Conn) sendKeyUpdate(request bool) {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	if !c.out.closed {
		_ = c.writeKeyUpdate(request)
	}
}

// writeAlert writes an alert. out.mu is held.
func (c *Conn) writeAlert(alert tls.AlertError) error {
	level := byte(levelFatal)
	if alert == alertCloseNotify {
		level = levelWarning
	}
	return c.writeRecord(TypeAlert, []byte{level, byte(alert)})
}

// sendAlert tells the peer what was wrong, after which nothing can be written.
func (c *Conn) sendAlert(alert tls.AlertError) {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	if c.out.closed {
		return
	}
	_ = c.writeAlert(alert)
	if c.out.err == nil {
		c.out.err = permanent(localError(alert))
	}
}

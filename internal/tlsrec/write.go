package tlsrec

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"
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
			if err := c.out.writeKeyUpdate(false); err != nil {
				return written, err
			}
		}
		if err := c.out.writeRecord(TypeApplicationData, b[:n]); err != nil {
			return written, err
		}
		written += n
		b = b[n:]
	}
	return written, nil
}

// UpdateKeys sends a KeyUpdate, which has the peer read with the next key, and answer with one of its own if request. It is done
// in time without this call.
func (c *Conn) UpdateKeys(request bool) error {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	if c.out.closed {
		return errShutdown
	}
	return c.out.writeKeyUpdate(request)
}

// writeRecord writes one record, unless the connection is frozen or writing has failed. mu is held.
func (o *output) writeRecord(kind byte, content []byte) error {
	switch {
	case o.frozen: // nothing asks for a record then; should something all the same, it must not go out
		return Frozen
	case o.err != nil:
		return o.err
	}
	b := outPool.Get().(*[]byte)
	defer outPool.Put(b)
	record, err := o.half.Seal((*b)[:0], kind, content)
	if err == nil {
		_, err = o.conn.Write(record)
	}
	if err != nil { // part of the record may be on its way: nothing can follow
		o.err = permanent(err)
	}
	return o.err
}

// writeKeyUpdate writes a KeyUpdate and goes on to the next key. mu is held.
func (o *output) writeKeyUpdate(request bool) error {
	message := keyUpdate
	if request {
		message[4] = 1
	}
	if err := o.writeRecord(TypeHandshake, message[:]); err != nil {
		return err
	}
	o.half.Update()
	return nil
}

// writeAlert writes an alert. mu is held.
func (o *output) writeAlert(alert tls.AlertError) error {
	level := byte(levelFatal)
	if alert == alertCloseNotify {
		level = levelWarning
	}
	return o.writeRecord(TypeAlert, []byte{level, byte(alert)})
}

// sendAlert tells the peer what was wrong, after which nothing can be written.
func (o *output) sendAlert(alert tls.AlertError) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return
	}
	_ = o.writeAlert(alert)
	if o.err == nil {
		o.err = permanent(localError(alert))
	}
}

// closeNotify sends a close_notify once. It waits for a client that does not read for 5 s, as crypto/tls.
func (o *output) closeNotify() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.frozen || o.closed {
		return o.closedErr
	}
	o.closed = true
	_ = o.conn.SetWriteDeadline(time.Now().Add(5 * time.Second))
	o.closedErr = o.writeAlert(alertCloseNotify)
	_ = o.conn.SetWriteDeadline(time.Now())
	return o.closedErr
}

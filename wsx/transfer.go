package wsx

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// handshake is one that a library makes.
type handshake struct {
	header   http.Header // if it is made without the client; nil otherwise
	response []byte      // as much as there is of one that the library writes itself
	done     bool
	err      error // the library agrees to something else than was promised
	ended    error // nothing can follow what was handed over in vain; not for Hijack, at whose error a library may panic
}

// begin has the next library make its handshake without the client.
func (h *handshake) begin() { *h = handshake{header: make(http.Header)} }

// maxResponse is the longest response in bytes that a library may write itself.
const maxResponse = 64 << 10

// take returns how many bytes of b are of the response, and that, if it is complete.
func (h *handshake) take(b []byte) (n int, response *http.Response, err error) {
	before := len(h.response)
	h.response = append(h.response, b...)
	end := bytes.Index(h.response, []byte("\r\n\r\n"))
	if end < 0 {
		if len(h.response) > maxResponse {
			err = fmt.Errorf("wsx: the library's answer to a handshake has more than %d bytes", maxResponse)
		}
		return len(b), nil, err
	}
	end += 4
	response, err = http.ReadResponse(bufio.NewReader(bytes.NewReader(h.response[:end])), nil)
	h.response = nil
	if err != nil {
		return 0, nil, fmt.Errorf("wsx: the library's answer to a handshake: %w", err)
	}
	return end - before, response, nil
}

// agreeLocked notes how a handshake has ended, or says that the library agrees to something else than before.
func (c *Conn) agreeLocked(h http.Header) error {
	now := agreed(h)
	if c.agreed == nil {
		c.agreed = &now
		c.moves.Store(!now.stays)
	}
	if *c.agreed != now {
		return fmt.Errorf("wsx: the library agrees to %s, and its client was promised %s", now, *c.agreed)
	}
	c.shake.done = true
	return nil
}

// write writes what a library writes: its answer to the handshake, if it does so itself, and frames. After told it writes no close frame.
func (c *Conn) write(b []byte, told bool) (n int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if told && c.out.isBetween() && len(b) > 0 && b[0]&opcodeBits == opClose {
		return len(b), nil
	}
	if !c.shake.done {
		if n, err = c.answerLocked(b); err != nil || n == len(b) {
			return n, err
		}
	}
	m, err := c.conn.Write(b[n:])
	c.out.all(b[n : n+m])
	return n + m, err
}

// answerLocked writes as much of b as belongs to the library's answer to the handshake.
func (c *Conn) answerLocked(b []byte) (int, error) {
	n, response, err := c.shake.take(b)
	switch {
	case err != nil:
		return 0, err
	case response != nil && response.StatusCode == http.StatusSwitchingProtocols:
		err = c.agreeLocked(response.Header)
	case response != nil:
		c.shake.done = true // the library refuses
	}
	if err != nil || c.shake.header != nil {
		return n, err
	}
	return c.conn.Write(b[:n])
}

// read gives what belongs to one frame at most.
func (c *Conn) read(b []byte) (int, error) {
	for {
		if c.drains && !c.skip && c.in.isBetween() && c.moves.Load() {
			return 0, ErrDraining
		}
		if len(c.ahead) > 0 {
			c.skip = false
			n := c.in.next(c.ahead[:min(len(c.ahead), len(b))])
			copy(b, c.ahead[:n])
			c.ahead = c.ahead[n:]
			return n, nil
		}
		if n := min(uint64(len(b)), c.in.left); n >= bufferSize { // of a large payload
			m, err := c.source.Read(b[:n])
			c.in.all(b[:m])
			if m > 0 || !c.isDrain(err) {
				return m, c.unexpected(err)
			}
		} else if err := c.fill(); err != nil && !c.isDrain(err) {
			return 0, c.unexpected(err)
		}
	}
}

// unexpected is err, but an end in the middle of a message is not the message's, for which x/net/websocket would take it.
func (c *Conn) unexpected(err error) error {
	if errors.Is(err, io.EOF) && !c.in.closed && !c.in.isBetween() {
		return io.ErrUnexpectedEOF
	}
	return err
}

// fill reads into the buffer. An error that comes with data comes again.
func (c *Conn) fill() error {
	if c.buffer == nil {
		c.buffer = make([]byte, bufferSize)
	}
	n, err := c.source.Read(c.buffer)
	c.ahead = c.buffer[:n]
	if n > 0 {
		return nil
	}
	return err
}

func (c *Conn) isDrain(err error) bool {
	if !errors.Is(err, ErrDraining) {
		return false
	}
	c.drains = true
	return true
}

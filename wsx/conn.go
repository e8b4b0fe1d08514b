package wsx

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/listen"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/tcpx"
)

// ErrDraining is tcpx.ErrDraining: what a library's read returns, alone or wrapped, when this generation stops accepting and no message from the client is under way.
var ErrDraining = tcpx.ErrDraining

// MaxState is the most state in bytes that Handover takes along: 512 KiB.
const MaxState = 512 << 10

// bufferSize is that of the buffers of net/http.
const bufferSize = 4096

// Conn is a WebSocket below a library. It is an http.ResponseWriter and an http.Hijacker for the library's handshake, which is made
// with the client once, and without it where the library begins anew: after [Resume], and after a Handover that nobody took.
//
// One goroutine at a time calls its methods. What the library makes of it may be used by any number, as far as the library allows it.
type Conn struct {
	w http.ResponseWriter // of the client's request
	r *http.Request

	conn   net.Conn    // nil until the library hijacks it
	moving listen.Conn // conn, if it can be handed over; nil otherwise
	source source      // conn, for reading
	link   *link       // of the library that has it now, or had it last

	moves atomic.Bool // what was agreed has no state

	in     frames // whoever reads touches this, and no other
	ahead  []byte // was read, and not given to the library
	buffer []byte // of ahead
	drains bool   // the library is to be told when no message is under way
	skip   bool   // but only when something more has come

	mu     sync.Mutex // guards what follows, and writing
	out    frames
	shake  handshake  // of link's library
	agreed *agreement // nil before the first handshake, and after one that has come to nothing
}

// source is what is read from.
type source interface {
	io.Reader
	SetReadDeadline(at time.Time) error
}

// New returns the connection of a request that asks for a WebSocket: give it to the library instead of w. The caller closes it, by Close. Where it cannot move, as
// httpx.Hijacked says, or since the library and the client agree on compression with context takeover, the library serves it to its end as without wsx.
func New(w http.ResponseWriter, r *http.Request) *Conn { return &Conn{w: w, r: r} }

// Resume goes on with a connection that httpx.Server.Resume has got: give it to the library as that of [New]. state is the program's from the generation before; nil if
// that was empty. After an error, which says that data is not a state of this package's, conn is closed.
func Resume(conn net.Conn, data []byte) (c *Conn, state []byte, err error) {
	s, err := decode(data)
	if err != nil {
		_ = conn.Close()
		return nil, nil, err
	}
	c = &Conn{agreed: &s.agreement, ahead: s.Ahead}
	c.moves.Store(true)
	c.shake.begin()
	c.attach(conn)
	return c, s.Program, nil
}

// attach takes over a connection that was hijacked.
func (c *Conn) attach(conn net.Conn) {
	c.conn, c.source = conn, conn
	if moving, ok := httpx.Hijacked(conn); ok {
		c.conn, c.moving, c.source = moving, moving, tcpx.NewReader(moving)
	}
}

// Request returns the request for the library's handshake: the client's at first. From then on it has no more than the handshake needs: it is for GET /, without Host, Origin or
// cookies, and offers what was agreed. What else the program has to know of the client's is for it to keep.
func (c *Conn) Request() *http.Request {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.shake.header == nil {
		return c.r
	}
	return c.agreed.request(c.conn.RemoteAddr().String())
}

// Header implements http.ResponseWriter.
func (c *Conn) Header() http.Header {
	if c.shake.header == nil {
		return c.w.Header()
	}
	return c.shake.header
}

// WriteHeader implements http.ResponseWriter.
func (c *Conn) WriteHeader(status int) {
	h := c.Header()
	if c.shake.header == nil {
		c.w.WriteHeader(status)
	}
	if status == http.StatusSwitchingProtocols {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.shake.err = c.agreeLocked(h)
	}
}

// Write implements http.ResponseWriter. Without the client nobody reads it.
func (c *Conn) Write(b []byte) (int, error) {
	if c.shake.header == nil {
		return c.w.Write(b)
	}
	return len(b), nil
}

// Hijack implements http.Hijacker, for the library.
func (c *Conn) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if c.link != nil && c.shake.header == nil {
		return nil, nil, http.ErrHijacked
	}
	if c.conn == nil {
		conn, rw, err := http.NewResponseController(c.w).Hijack()
		if err != nil {
			return nil, nil, err
		}
		begun, _ := rw.Peek(rw.Reader.Buffered())
		c.ahead = slices.Clone(begun)
		c.attach(conn)
	}
	if c.shake.err != nil {
		return nil, nil, c.shake.err
	}
	c.link = &link{conn: c, ended: c.shake.ended}
	_ = c.link.SetDeadline(time.Time{}) // that of the library before; an error comes again
	return c.link, bufio.NewReadWriter(bufio.NewReaderSize(c.link, bufferSize), bufio.NewWriterSize(c.link, bufferSize)), nil
}

// Close closes the connection, without a close frame, unless it has been handed over. It may be called twice.
func (c *Conn) Close() error {
	if c.conn == nil {
		return nil
	}
	return c.conn.Close()
}

// Handover gives the WebSocket, with state, to httpx.Server.Resume of the next generation. Call it when the library's read has returned [ErrDraining], all that was read is
// answered or part of state, and nobody writes any more; close the library's connection before, which ends what it has begun, such as goroutines. After nil the connection is the next generation's. After an
// error the library can begin anew on it at once, with [Conn.Request], and its client notices nothing: so it is where nobody takes the connection, see
// httpx.Hijacked, or state is longer than [MaxState]. Only where a message or a close frame has been begun, or a write over TLS has failed, as by a
// deadline that has passed, all that the library reads and writes fails. Handover may have to write, and then takes as long as the client does not read.
func (c *Conn) Handover(state []byte) error {
	if c.link == nil || !c.link.told.Load() {
		return fmt.Errorf("wsx: %w: no read has returned ErrDraining", listen.ErrNoSuccessor)
	}
	c.link.closed.Store(true)
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.handOverLocked(state)
	if err != nil {
		c.drains = errors.Is(err, listener.ErrBusy) // of TLS: once more after the next message
		c.skip = c.drains
		c.shake.begin()
		if !c.out.isBetween() || errors.Is(err, net.ErrClosed) {
			c.shake.ended = err
		}
	}
	return err
}

func (c *Conn) handOverLocked(program []byte) error {
	switch {
	case !c.out.isBetween():
		return fmt.Errorf("wsx: %w: a message has begun, or the WebSocket is closed", listen.ErrNoSuccessor)
	case len(program) > MaxState:
		return fmt.Errorf("wsx: %w: state of %d bytes, at most %d", listen.ErrNoSuccessor, len(program), MaxState)
	}
	err := c.moveLocked(program)
	if stay := (*listener.StayError)(nil); errors.As(err, &stay) && stay.Passes && c.exchangeLocked() {
		return c.moveLocked(program)
	}
	return err
}

func (c *Conn) moveLocked(program []byte) error {
	s := state{agreement: *c.agreed, Ahead: c.ahead, Program: program}
	return c.moving.Handover(s.encode())
}

// exchangeLimit is how long a client has for its answer to a ping.
const exchangeLimit = time.Second

// exchangeLocked has something small go to and fro, as a connection of TLS whose last record was large cannot move (see "no proof" in
// docs/connections.md). The pong is read with what may come before it, and goes along.
func (c *Conn) exchangeLocked() bool {
	_ = c.conn.SetWriteDeadline(time.Time{}) // the library's would end TLS; an error comes again
	if _, err := c.conn.Write([]byte{finBit | opPing, 0}); err != nil {
		return false
	}
	_ = c.source.SetReadDeadline(time.Now().Add(exchangeLimit))
	before := slices.Clone(c.ahead) // it is in the buffer
	err := c.fill()
	c.ahead = slices.Concat(before, c.ahead)
	_ = c.source.SetReadDeadline(time.Time{})
	return err == nil
}

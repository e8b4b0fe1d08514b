package httpx

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/listen"
)

// MaxHijackedState is the most state in bytes that Handover takes along with a hijacked connection: 896 KiB.
const MaxHijackedState = 896 << 10

const (
	// maxRest is how much may have been read from TLS, and not by the program, when a connection moves: what crypto/tls reads ahead, and a few records.
	maxRest = 96 << 10

	// recordWait is how long Handover waits for the rest of a record of TLS, and recordsWait for those of a client that
	// goes on sending, which it does until it waits for an answer.
	recordWait  = time.Second
	recordsWait = 5 * time.Second

	// hijackedForm is the form of what goes along, its first byte.
	hijackedForm = 1
)

// Hijacked returns a connection that a handler has hijacked, or that [Server].Resume has got, as one that can be handed over to the next generation. The
// caller uses it in place of c from then on; reading from it by a tcpx.Reader, he learns when this generation stops accepting: ErrDraining.
//
// Its Handover gives the connection, with its keys if it is one of TLS, and state to Resume of the next generation's Server. Call it between two messages,
// while nobody else reads or writes: what the program has read and not answered belongs to state, as does what a buffer has, such as
// that of the bufio.Reader that Hijack returns. After nil the connection is no longer the caller's, who leaves it alone; it was closed where nobody
// can know whether the keys of TLS have been taken. After an error it
// is untouched, and goes on; the error is listen.ErrNoSuccessor where the next generation does not take it: it has no such group, no Resume, an
// older gozd, another certificate, or there is none. It is net.ErrClosed, too, where TLS is at its end, as it is after a write that a deadline has
// ended: close it. Over TLS it can take up to five seconds, where half a record has come, and fail. State of more than [MaxHijackedState] bytes is refused.
// The connections that others take over when the next generation has died are those that had stayed: what it had got is lost with it.
//
// It reports false for a connection that cannot move: one that is not hijacked, that was not served by a Server, through a
// listener that others have put around gozd's, by ServeTLS, or over TLS that does not move (see move_tls). Use c itself then.
func Hijacked(c net.Conn) (listen.Conn, bool) {
	if h, ok := c.(*hijackedConn); ok {
		return h, true
	}
	own, ok := c.(takenConn)
	if !ok {
		return nil, false
	}
	if r, _ := own.hijacked(); !r.taken.Load() {
		return nil, false
	}
	return newHijacked(own, nil), true
}

// takenConn is a connection of ours, which is read by a reader, over one of gozd's.
type takenConn interface {
	net.Conn
	hijacked() (*reader, listener.Conn)
}

// hijackedConn is one that is handed over.
type hijackedConn struct {
	net.Conn // what net/http had
	reader   *reader
	sock     listener.Conn
	state    []byte
}

var _ listener.WokenReader = (*hijackedConn)(nil)

func newHijacked(c takenConn, state []byte) *hijackedConn {
	r, sock := c.hijacked()
	r.Unretire()
	return &hijackedConn{c, r, sock, state}
}

// resume gives a connection to the program, with what admitHijacked has allowed.
func (s *Server) resume(c net.Conn, came []byte) {
	own, ok := c.(takenConn)
	rest, state, err := parseHijacked(came)
	if !ok || err != nil || s.Resume == nil {
		_ = c.Close() // it was admitted: this cannot be
		return
	}
	h := newHijacked(own, state)
	h.reader.taken.Store(true)
	h.reader.rest, h.reader.blank = rest, false // this is no HTTP
	go func() {
		defer s.survive(h)
		s.Resume(h, state)
	}()
}

// survive is what net/http's server does at a panic in a handler (conn.serve in server.go, go1.26): a message that ends its connection before an
// upgrade must not end the process after it.
func (s *Server) survive(c net.Conn) {
	if p := recover(); p != nil && p != http.ErrAbortHandler { //nolint:errorlint // it may be no error at all
		s.logf("http: panic serving %v: %v\n%s", c.RemoteAddr(), p, debug.Stack())
	}
}

// admitHijacked says whether Resume takes a connection with that state.
func (s *Server) admitHijacked(came []byte) (listener.Arrival, error) {
	if s.Resume == nil {
		return listener.Arrival{}, errors.New("httpx: this generation has no Server.Resume")
	}
	_, _, err := parseHijacked(came)
	return listener.Arrival{Speaks: true}, err
}

// packHijacked returns what goes along: the form, the length of rest in four bytes, rest, and state.
func packHijacked(rest, state []byte) []byte {
	b := make([]byte, 0, 1+4+len(rest)+len(state))
	b = append(b, hijackedForm)
	b = binary.BigEndian.AppendUint32(b, uint32(len(rest))) //nolint:gosec // at most maxRest
	b = append(b, rest...)
	return append(b, state...)
}

// parseHijacked undoes packHijacked. It keeps parts of b. The state is not nil unless there is an error.
func parseHijacked(b []byte) (rest, state []byte, err error) {
	switch {
	case len(b) < 1+4:
		return nil, nil, fmt.Errorf("httpx: state of a hijacked connection of %d bytes: too short", len(b))
	case b[0] != hijackedForm:
		return nil, nil, fmt.Errorf("httpx: state of a hijacked connection in form %d, which this gozd does not know", b[0])
	}
	n, b := int64(binary.BigEndian.Uint32(b[1:])), b[1+4:]
	if n > maxRest || n > int64(len(b)) || int64(len(b))-n > MaxHijackedState {
		return nil, nil, fmt.Errorf("httpx: state of a hijacked connection of %d bytes, %d of them read before: wrong lengths", len(b), n)
	}
	return b[:n:n], b[n:], nil
}

// The methods of listen.Conn.
func (c *hijackedConn) Group() string             { return c.sock.Group() }
func (c *hijackedConn) Draining() <-chan struct{} { return c.sock.Draining() }
func (c *hijackedConn) State() []byte             { return c.state }
func (c *hijackedConn) NetConn() net.Conn         { return c.sock.NetConn() }

// Rounds are those of the listener.
func (c *hijackedConn) Rounds() (draining, resumed <-chan struct{}) { return listener.Rounds(c.sock) }

// Read gives first what Handover has read.
func (c *hijackedConn) Read(b []byte) (int, error) {
	if n := c.takeRest(b); n > 0 {
		return n, nil
	}
	return c.Conn.Read(b)
}

// ReadWoken implements [listener.WokenReader].
func (c *hijackedConn) ReadWoken(b []byte) (int, error) {
	if n := c.takeRest(b); n > 0 {
		return n, nil
	}
	return c.reader.ReadWoken(b)
}

func (c *hijackedConn) takeRest(b []byte) int {
	n := copy(b, c.reader.rest)
	if c.reader.rest = c.reader.rest[n:]; len(c.reader.rest) == 0 {
		c.reader.rest = nil
	}
	return n
}

// Handover implements listen.Conn; the contract is that of Hijacked.
func (c *hijackedConn) Handover(state []byte) error {
	if len(state) > MaxHijackedState {
		return fmt.Errorf("httpx: %w: state of %d bytes, at most %d", listener.ErrNoSuccessor, len(state), MaxHijackedState)
	}
	if _, secure := c.Conn.(*secureConn); !secure {
		return c.reader.HandOver(listener.HijackedWay, packHijacked(nil, state))
	}
	end := time.Now().Add(recordsWait)
	for {
		if err := c.readAhead(); err != nil {
			return err
		}
		err := c.handOver(state)
		if !errors.Is(err, listener.ErrBusy) || !c.awaitRecord(min(recordWait, time.Until(end))) {
			return err
		}
	}
}

// handOver moves a connection of TLS between two records.
func (c *hijackedConn) handOver(state []byte) error {
	packed := packHijacked(c.reader.rest, state)
	defer clear(packed)
	if err := c.reader.HandOver(listener.HijackedWay, packed); err != nil {
		return err
	}
	c.reader.rest = nil
	_ = c.Close() // what is left of TLS; the socket is not ours any more
	return nil
}

// readAhead takes what TLS has read and not given: it stays with the layer, which does not move.
func (c *hijackedConn) readAhead() error {
	for len(c.reader.rest) < maxRest-maxRecord {
		c.reader.Wake()
		if err := c.readMore(); errors.Is(err, listener.ErrWoken) || errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		} else if err != nil {
			return fmt.Errorf("%w: %w", listener.ErrNoSuccessor, err)
		}
	}
	return fmt.Errorf("httpx: %w: more than %d bytes have come, and are not read", listener.ErrNoSuccessor, len(c.reader.rest))
}

// maxRecord is the most that a record of TLS has.
const maxRecord = 16 << 10

// awaitRecord waits for the rest of a record, and reports whether something has come.
func (c *hijackedConn) awaitRecord(limit time.Duration) bool {
	if limit <= 0 {
		return false
	}
	end := time.Now().Add(limit)
	defer time.AfterFunc(limit, c.reader.Wake).Stop()
	for {
		err := c.readMore()
		if !errors.Is(err, listener.ErrWoken) || !time.Now().Before(end) {
			return err == nil
		}
		// The listener wakes its connections after it has begun to drain, which the program may have learned before.
	}
}

// readMore reads a record. Without data the error is not nil.
func (c *hijackedConn) readMore() error {
	b := make([]byte, maxRecord)
	n, err := c.reader.ReadWoken(b)
	c.reader.rest = append(c.reader.rest, b[:n]...)
	clear(b)
	if n > 0 {
		return nil
	}
	return err
}

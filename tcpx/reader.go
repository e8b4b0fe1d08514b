package tcpx

import (
	"errors"
	"os"
	"sync"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/listen"
)

// ErrDraining is what [Reader.Read] returns once when the connection's generation
// stops accepting.
var ErrDraining = errors.New("tcpx: the generation drains")

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// Reader reads a connection for a handler that hands it over. When the generation
// stops accepting, a Read that waits, or else the next one, returns [ErrDraining]
// and has read nothing: what the client sends from then on stays in the socket for
// whoever reads next. That is the moment to call [listen.Conn.Handover], with what
// has been read and not been answered yet as part of the state. Where nobody takes
// the connection the handler reads on: ErrDraining comes once, and once more if the generation serves again, as its
// successor has died, and stops accepting another time.
//
// A bufio.Reader may read from it. ReadString then returns the complete lines that
// it has in its buffer first, and ErrDraining with the beginning of a line.
//
// Deadlines for reading are set by SetReadDeadline here, not on the connection. Read
// is for one goroutine at a time. A Read that waits takes a second goroutine along, but not on a connection of httpx.Hijacked.
// Over TLS it is not woken, since the connection cannot move, and a handshake would
// not survive it; ErrDraining comes between two Reads. A connection of httpx.Hijacked moves over TLS, too, and its Read is woken.
type Reader struct {
	conn  listen.Conn
	waken listener.WokenReader // conn, if it needs no goroutine to be woken; nil otherwise
	told  <-chan struct{}      // of the drain for which ErrDraining has been returned; nil before

	mu       sync.Mutex // guards what follows, and setting the connection's deadline
	deadline time.Time  // as the program set it
	woken    bool       // the connection's deadline is wake's, until Read has seen it
}

// NewReader returns a Reader for conn. There is nothing to close.
func NewReader(conn listen.Conn) *Reader {
	waken, _ := conn.(listener.WokenReader)
	return &Reader{conn: conn, waken: waken}
}

// Read reads from the connection, whose errors it returns as they are.
func (r *Reader) Read(b []byte) (int, error) {
	if r.isNews() {
		return 0, r.drainError()
	}
	if r.waken != nil {
		return r.readWoken(b)
	}
	if l, ok := r.conn.(*layered); ok && !l.wakes {
		return r.conn.Read(b)
	}
	n, woken, err := r.readWatched(b)
	if woken && n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && !r.isLate() {
		return 0, r.drainError()
	}
	return n, err // what came at the same moment is the program's first
}

// readWoken reads from a connection that is woken by others.
func (r *Reader) readWoken(b []byte) (int, error) {
	for {
		n, err := r.waken.ReadWoken(b)
		if !errors.Is(err, listener.ErrWoken) {
			return n, err
		}
		if r.isNews() {
			return 0, r.drainError()
		}
	}
}

// rounds are those of the connection's listener.
func (r *Reader) rounds() (draining, resumed <-chan struct{}) {
	if l, ok := r.conn.(*layered); ok {
		return listener.Rounds(l.Conn)
	}
	return listener.Rounds(r.conn)
}

// isNews reports whether the generation drains, and the handler has not been told.
func (r *Reader) isNews() bool {
	draining, _ := r.rounds()
	if draining == r.told {
		return false
	}
	select {
	case <-draining:
		return true
	default:
		return false
	}
}

func (r *Reader) drainError() error {
	r.told, _ = r.rounds()
	return ErrDraining
}

// readWatched reads, and ends the wait when the generation drains. When it returns,
// nobody touches the deadline any more, and it is the program's.
func (r *Reader) readWatched(b []byte) (n int, woken bool, err error) {
	stop, woke := make(chan struct{}), make(chan struct{})
	go r.watch(r.told, stop, woke)
	n, err = r.conn.Read(b)
	select {
	case stop <- struct{}{}:
		return n, false, err
	case <-woke:
		r.restore()
		return n, true, err
	}
}

// watch ends either by stop, or by waking the Read and closing woke.
func (r *Reader) watch(told <-chan struct{}, stop <-chan struct{}, woke chan<- struct{}) {
	for {
		draining, resumed := r.rounds()
		if draining != told {
			resumed = nil
		} else {
			draining = nil // it has been said
		}
		select {
		case <-stop:
			return
		case <-resumed:
		case <-draining:
			r.wake()
			close(woke)
			return
		}
	}
}

func (r *Reader) wake() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.woken = true
	_ = r.conn.SetReadDeadline(longAgo) // an error means that it has just ended
}

// restore puts the program's deadline back.
func (r *Reader) restore() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.woken = false
	_ = r.conn.SetReadDeadline(r.deadline)
}

// isLate reports whether the program's own deadline has passed.
func (r *Reader) isLate() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.deadline.IsZero() && !r.deadline.After(time.Now())
}

// SetReadDeadline is that of net.Conn. While a Read has yet to see that it was
// woken, the deadline waits for it.
func (r *Reader) SetReadDeadline(t time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.deadline = t
	if r.woken {
		return nil
	}
	return r.conn.SetReadDeadline(t)
}

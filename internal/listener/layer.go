package listener

import (
	"crypto/tls"
	"hash/maphash"
	"io"
	"net"
	"sync"
)

// Layer is the reading side of a connection that an adapter has through another
// listener's layer, such as one that counts or limits. The connection below may move only while the layer is clear: a layer can hold
// bytes that it has read ahead, have swallowed a header, or decipher. So all bytes are compared that go into it and come
// out of it: while they are the same, and all have come out, the layer is one that can be left away. Of what is written through it the number is enough: as
// many bytes have reached the socket. What a layer writes past the connection's Write and ReadFrom is not seen, as by net.Buffers, and then it does not move.
//
// Init comes before anything else. Read is for one goroutine at a time, the other methods for any.
type Layer struct {
	outer    net.Conn
	followed bool       // what goes into the layer is known; set by Init
	reader   IdleReader // reads for the layer, below it, if that is followed

	mu   sync.Mutex // guards what follows
	skip int64      // bytes that the layer had read before Init, and are still to come out
	in   passage
	out  passage
	asks int // how much the adapter asks for; -1 while it does not

	given   int64 // bytes that the adapter has written
	sent    int64 // bytes that have reached the socket
	writers int   // calls of Write and ReadFrom that have not returned
	behind  bool  // the two were not the same when the adapter had nothing under way, and have not been since
}

// passage is what has passed a place.
type passage struct {
	n   int64
	sum maphash.Hash
}

func (p *passage) pass(b []byte) {
	p.n += int64(len(b))
	_, _ = p.sum.Write(b) // never fails
}

// Init prepares l for outer, in which [FromConn] has found conn, and reports whether the layer is followed. One of TLS is
// not, nor one over a connection of no Listener: it is never clear, and Wake and Retire do nothing.
//
// idle is called while the listener drains and the layer is followed. It reports whether nothing
// of the protocol is under way, when the adapter asks for n bytes, or is not reading at all and n is -1.
func (l *Layer) Init(outer net.Conn, conn Conn, idle func(n int) bool) bool {
	l.outer = outer
	s, ok := conn.(socket)
	if !ok || hasTLS(outer) {
		return false
	}
	l.followed, l.asks, l.skip = true, -1, s.part().read.Load()
	l.out.sum.SetSeed(l.in.sum.Seed())
	// Whether it holds something back comes first: else it could give that between the two, to an adapter that was idle.
	l.reader.Init(conn, func(int) bool { return l.IsClear() && idle(l.asked()) && l.hasCaughtUp() })
	l.reader.observe, l.reader.wrote = l.enter, l.reach
	s.part().below.Store(&l.reader)
	return true
}

// Wake is [IdleReader.Wake].
func (l *Layer) Wake() {
	if l.followed {
		l.reader.Wake()
	}
}

// Retire is [IdleReader.Retire].
func (l *Layer) Retire() {
	if l.followed {
		l.reader.Retire()
	}
}

// IsRefused is [IdleReader.IsRefused].
func (l *Layer) IsRefused() bool { return l.followed && l.reader.IsRefused() }

// hasTLS reports whether one of the layers is TLS, whose keys are in this process.
func hasTLS(c net.Conn) bool {
	for range maxLayers {
		switch c.(type) {
		case nil, Conn:
			return false
		case *tls.Conn:
			return true
		}
		c = below(c)
	}
	return false
}

func (l *Layer) asked() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asks
}

// IsClear reports whether the layer has changed nothing so far, and held back nothing that it has read.
func (l *Layer) IsClear() bool {
	if !l.followed {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.skip == 0 && l.in.n == l.out.n && l.in.sum.Sum64() == l.out.sum.Sum64()
}

// HasWritten reports whether the layer holds nothing back of what it was given to write. It may do so in the midst of an answer.
func (l *Layer) HasWritten() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.hasWrittenLocked()
}

func (l *Layer) hasWrittenLocked() bool { return l.writers == 0 && l.given == l.sent }

// hasCaughtUp is HasWritten when the adapter has nothing under way.
func (l *Layer) hasCaughtUp() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.hasWrittenLocked()
	l.behind = l.writers == 0 && !all
	return all
}

// IsBehind reports whether the layer has held something back, or has written more than it was given, or past the connection's methods: then the connection
// does not move, unless it catches up, and its client has to be told by the next answer that it ends.
func (l *Layer) IsBehind() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.behind
}

// reach notes what has reached the socket. A layer may write when it likes: who waits to move has to be told of the last of it.
func (l *Layer) reach(n int64) {
	l.mu.Lock()
	l.sent += n
	all := l.hasWrittenLocked()
	l.behind = l.behind && !all
	l.mu.Unlock()
	if all && l.reader.isDraining() {
		l.reader.Wake()
	}
}

// Write writes to the layer.
func (l *Layer) Write(b []byte) (int, error) {
	l.begin()
	n, err := l.outer.Write(b)
	l.gave(int64(n))
	return n, err
}

// ReadFrom writes what r has to the layer. It is the layer's own, if it has one: then files are sent as without us.
func (l *Layer) ReadFrom(r io.Reader) (int64, error) {
	l.begin()
	n, err := io.Copy(l.outer, r)
	l.gave(n)
	return n, err
}

func (l *Layer) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writers++
}

func (l *Layer) gave(n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writers--
	l.given += n
}

// enter notes what the layer has read.
func (l *Layer) enter(b []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.in.pass(b)
}

// Read reads from the layer.
func (l *Layer) Read(b []byte) (int, error) {
	if !l.followed {
		return l.outer.Read(b)
	}
	l.ask(len(b))
	n, err := l.outer.Read(b)
	l.leaveWith(b[:n])
	return n, err
}

func (l *Layer) ask(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asks = n
}

// leaveWith notes what the layer has given.
func (l *Layer) leaveWith(b []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asks = -1
	skipped := min(l.skip, int64(len(b)))
	l.skip -= skipped
	l.out.pass(b[skipped:])
}

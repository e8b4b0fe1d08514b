package listener

import (
	"net"
	"sync"
)

// Batch counts what has arrived on a connection since its server last waited for a request, for an adapter that tells clients
// to close their connection: to one that sends several requests at once (pipelining), it must not say so before the last, or
// those behind are lost. The zero value is ready. Its methods are safe for concurrent use.
type Batch struct {
	mu       sync.Mutex // guards what follows
	requests int        // that have been read
	bytes    int        // that have been read, as they come from the socket
	ahead    bool       // bytes were read while a request was handled
	fresh    bool       // the first batch, with a handshake in it
	guessed  bool       // IsLast has guessed that more had come, and nothing has shown it yet
}

// smallestRequest is the length of "GET / HTTP/1.0" with two ends of line.
const smallestRequest = 18

// Wait notes that the server begins to read while no request is under way: all that it has had before is dealt with. fresh
// is true as long as a handshake may be among what is read.
func (b *Batch) Wait(fresh bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.requests > 0 || fresh {
		b.bytes = 0
	}
	b.requests, b.ahead, b.fresh = 0, false, fresh
}

// Read notes that n bytes have been read.
func (b *Batch) Read(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bytes += n
	b.ahead = b.ahead || b.requests > 0
}

// Request notes that a request has been read.
func (b *Batch) Request() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.requests++
	if b.requests > 1 {
		b.guessed = false
	}
}

// IsLast reports whether the request that is being handled on c is the last that has arrived. One with a body is taken for the last if it
// is the first of its batch: the rest of the body cannot be told from another request. size is about how many bytes of the socket the request has
// taken, without a body. If more were read, that may be another request or only an unusual way to write this one: it is
// not taken for the last, but then the next is, unless it has been read already.
func (b *Batch) IsLast(c net.Conn, size int, hasBody bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.requests > 1:
		return false
	case b.requests == 0 || hasBody: // nobody has told the batch anything
		return true
	case b.ahead || hasInput(c):
		return false
	case b.fresh || b.guessed || b.bytes < size+smallestRequest:
		b.guessed = false
		return true
	}
	b.guessed = true
	return false
}

// hasInput reports whether the socket below c has something to read.
func hasInput(c net.Conn) bool {
	conn, ok := FromConn(c)
	if !ok {
		return false
	}
	readable, _ := peek(conn.NetConn())
	return readable
}

// BatchOf returns the batch of the connection below c, see [FromConn], of which an adapter tells by [SetActivity] what it does: what is read
// from the socket and a request that is Busy are noted. It is nil where there is no such connection.
func BatchOf(c net.Conn) *Batch {
	conn, ok := FromConn(c)
	if !ok {
		return nil
	}
	if s, ok := conn.(socket); ok {
		return s.requests()
	}
	return nil
}

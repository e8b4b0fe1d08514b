package listener

import (
	"net"
	"sync"
)

// Batch counts what has arrived on a connection since its server last waited for a request, for an adapter that tells clients
// to close their connection: to one that sends several requests at once (pipelining), it must not say so before the last, or
// those behind are lost. The zero value is ready, and a nil one counts nothing. Its methods are safe for concurrent use.
type Batch struct {
	mu       sync.Mutex // guards what follows
	requests int        // that have been read
	bytes    int64      // that have been read, as they come from the socket
	ahead    bool       // bytes were read while a request was handled
	guessed  bool       // IsLast has guessed that more had come, and nothing has shown it yet
}

// smallestRequest is the length of "GET / HTTP/1.0" with two ends of line.
const smallestRequest = 18

// Wait notes that the server begins to read while no request is under way: all that it has had before is dealt with. fresh
// is true as long as there was no request, and what has been read so far was a handshake.
func (b *Batch) Wait(fresh bool) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.requests > 0 || fresh {
		b.bytes = 0
	}
	b.requests, b.ahead = 0, false
}

// Read notes that n bytes have been read.
func (b *Batch) Read(n int) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bytes += int64(n)
	b.ahead = b.ahead || b.requests > 0
}

// Request notes that a request has been read.
func (b *Batch) Request() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.requests++
	if b.requests > 1 {
		b.guessed = false
	}
}

// IsLast reports whether the request that is being handled on c is the last that has arrived. header is about how many bytes of the socket it
// takes without its body, which has that length, or one that nobody knows if body is negative. If hardly more were read, it is the last. If more were, that may be another
// request or only an unusual way to write this one; if fewer, others may come behind the rest of its body: it is
// not taken for the last, but then the next is, unless that has come by then.
func (b *Batch) IsLast(c net.Conn, header, body int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	whole := body >= 0 && b.bytes-header >= body
	switch {
	case b.requests > 1:
		return false
	case b.requests == 0: // nobody has told the batch anything
		return true
	case (whole || body == 0) && (b.ahead || hasInput(c)):
		return false
	case b.guessed || whole && b.bytes-header-body < smallestRequest:
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
	if s, ok := socketBelow(c); ok {
		return &s.part().batch
	}
	return nil
}

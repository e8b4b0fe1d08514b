package main

import (
	"net"
	"slices"
	"sync"
	"time"
)

// maxOut is how much may wait for a client that does not read. Then it is
// disconnected: nobody else waits for it, and a state stays small.
const maxOut = 64 << 10

// outbox holds what was promised to a user until it is written. It is there before
// the connection comes from the previous generation, and what is left in it goes to
// the next.
type outbox struct {
	mu      sync.Mutex // guards what follows
	changed sync.Cond
	pending []byte
	conn    net.Conn      // nil if nobody writes
	leaving bool          // the writer is to end when nothing is pending
	ended   chan struct{} // closed when the writer has
}

func newOutbox() *outbox {
	o := new(outbox)
	o.changed.L = &o.mu
	return o
}

// add promises text. It never waits, and breaks the promise only where it ends the
// connection, or where the client has none here.
func (o *outbox) add(text string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.pending)+len(text) > maxOut {
		o.endLocked()
		return
	}
	o.pending = append(o.pending, text...)
	o.changed.Signal()
}

// addFirst promises what the previous generation had not written.
func (o *outbox) addFirst(text []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pending = append(slices.Clone(text), o.pending...)
}

func (o *outbox) endLocked() {
	if o.conn != nil {
		_ = o.conn.Close() // its reader notices
	}
}

// start writes to conn what is pending and what will be.
func (o *outbox) start(conn net.Conn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.conn, o.leaving, o.ended = conn, false, make(chan struct{})
	if len(o.pending) > maxOut {
		o.endLocked()
	}
	go o.write(conn, o.ended)
}

func (o *outbox) write(conn net.Conn, ended chan<- struct{}) {
	defer close(ended)
	for {
		next := o.next()
		if len(next) == 0 {
			return
		}
		n, err := conn.Write(next)
		o.written(n)
		if err != nil {
			return // of the connection, which its reader meets too, or of stop
		}
	}
}

// next waits for what is to be written.
func (o *outbox) next() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.pending) == 0 && !o.leaving {
		o.changed.Wait()
	}
	return o.pending
}

func (o *outbox) written(n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pending = o.pending[n:]
}

// stop ends the writer within the time given, also if its client does not read, and
// returns what is not written. With start it goes on from there.
func (o *outbox) stop(within time.Duration) []byte {
	o.mu.Lock()
	conn, ended := o.conn, o.ended
	o.leaving = true
	o.changed.Signal()
	o.mu.Unlock()
	_ = conn.SetWriteDeadline(time.Now().Add(within)) // an error means that it has ended
	<-ended
	_ = conn.SetWriteDeadline(time.Time{})
	o.mu.Lock()
	defer o.mu.Unlock()
	o.conn = nil
	return o.pending
}

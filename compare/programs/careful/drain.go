//go:build unix

package main

import (
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// grace is how long a connection may idle in the old process. A client that
	// asks within it is answered, and told to reconnect; a later one loses its request.
	grace = 2 * time.Second

	// limit is how long the old process lives, whatever its connections do. It is
	// that of tableflip's README.
	limit = 30 * time.Second
)

// drain is done by hand, and not by Shutdown: that closes idle connections at
// once, and drops requests that it has read (go.dev/issue/75591). Every answer
// says "Connection: close", for HTTP/2 a GOAWAY, and connections end by the
// client's hand or when they have idled for the grace.
type drain struct {
	next     http.Handler
	draining atomic.Bool
	active   atomic.Int64 // handlers, also those that have hijacked

	mu    sync.Mutex
	conns map[net.Conn]time.Time // since when it has been idle; zero: it is not
}

func newDrain(next http.Handler) *drain {
	return &drain{next: next, conns: make(map[net.Conn]time.Time)}
}

func (d *drain) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.active.Add(1)
	defer d.active.Add(-1)
	if d.draining.Load() {
		w.Header().Set("Connection", "close")
	}
	d.next.ServeHTTP(w, r)
}

func (d *drain) track(c net.Conn, state http.ConnState) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch state {
	case http.StateNew, http.StateIdle: // one that has sent nothing yet may send
		d.conns[c] = time.Now()
	case http.StateActive:
		d.conns[c] = time.Time{}
	case http.StateClosed, http.StateHijacked:
		delete(d.conns, c)
	}
}

// run returns when every connection has ended.
func (d *drain) run(listeners ...net.Listener) {
	begun := time.Now()
	d.draining.Store(true)
	for _, ln := range listeners {
		_ = ln.Close()
	}
	for time.Since(begun) < limit && (d.sweep(begun) > 0 || d.active.Load() > 0) {
		time.Sleep(20 * time.Millisecond)
	}
}

// sweep closes connections that have idled for the grace since the drain began,
// and returns how many are left.
func (d *drain) sweep(begun time.Time) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	for c, since := range d.conns {
		if !since.IsZero() && time.Since(since) > grace && time.Since(begun) > grace {
			_ = c.Close() // which tells track, later
			delete(d.conns, c)
		}
	}
	return len(d.conns)
}

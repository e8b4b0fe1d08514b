package httpx

import (
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
)

// hijacked knows the connections that the program has taken over, and with which
// request each, for a program that wants to be told when they should end. Without a hook
// its methods do nothing.
type hijacked struct {
	hook func(net.Conn, *http.Request)

	mu       sync.Mutex                 // guards what follows
	served   map[net.Conn]*exchange     // by net/http
	taken    map[net.Conn]*http.Request // by the program
	draining bool
}

// exchange is what a connection is busy with.
type exchange struct {
	conn    net.Conn
	request atomic.Pointer[http.Request] // nil when its handler has returned
	hidden  atomic.Bool                  // the program has taken the connection over, and nobody learns when that ends
}

// exchangeKey is that of the exchange in a connection's context.
type exchangeKey struct{}

// enable begins to keep count, if there is a hook.
func (h *hijacked) enable(s *Server) {
	if s.DrainHijacked == nil {
		return
	}
	h.hook = s.DrainHijacked
	h.served = make(map[net.Conn]*exchange)
	h.taken = make(map[net.Conn]*http.Request)
}

func (h *hijacked) serve(c net.Conn) *exchange {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := &exchange{conn: c}
	h.served[c] = e
	return e
}

// begin notes the request that is being handled, until end is called.
func (h *hijacked) begin(r *http.Request) (end func()) {
	if h.hook == nil {
		return func() {}
	}
	e, ok := r.Context().Value(exchangeKey{}).(*exchange)
	if !ok || r.ProtoMajor != 1 || isH2C(r) { // streams of HTTP/2 share their connection, and cannot be hijacked
		return func() {}
	}
	e.request.Store(r)
	return func() {
		e.request.Store(nil)
		if e.hidden.Load() {
			h.forget(e.conn)
		}
	}
}

// isH2C reports whether r asks for HTTP/2 from now on (RFC 7540, section 3.2), by which h2c.NewHandler hijacks its connection. What a
// program writes there to say goodbye would come into the midst of the frames. (A client that knows that HTTP/2 is spoken begins with a
// "request" of HTTP/2.0.)
func isH2C(r *http.Request) bool { return strings.EqualFold(r.Header.Get("Upgrade"), "h2c") }

// saw is told of every change of a connection's state.
func (h *hijacked) saw(c net.Conn, state http.ConnState) {
	if h.hook == nil {
		return
	}
	switch state {
	case http.StateClosed:
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.served, c)
	case http.StateHijacked:
		h.take(c)
	}
}

func (h *hijacked) take(c net.Conn) {
	h.mu.Lock()
	e := h.served[c]
	delete(h.served, c)
	var r *http.Request
	if e != nil {
		r = e.request.Load()
	}
	late := h.draining
	if r != nil {
		h.taken[c] = r
	}
	h.mu.Unlock()
	if r == nil {
		return // the http.Server was given to Serve without us before
	}
	if !listener.AfterClose(c, func() { h.forget(c) }) {
		e.hidden.Store(true) // it is remembered as long as its handler runs, and not for ever
		if e.request.Load() == nil {
			h.forget(c)
		}
	}
	if late {
		go h.notify(c)
	}
}

func (h *hijacked) forget(c net.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.taken, c)
}

// notify calls the hook, if the connection is still open.
func (h *hijacked) notify(c net.Conn) {
	h.mu.Lock()
	r, open := h.taken[c]
	h.mu.Unlock()
	if open {
		h.hook(c, r)
	}
}

// drain has the program told of all, each at its time, and of new ones at once.
func (h *hijacked) drain(p *pace) {
	h.mu.Lock()
	h.draining = true
	conns := slices.Collect(maps.Keys(h.taken))
	h.mu.Unlock()
	go p.each(len(conns), func(i int) { go h.notify(conns[i]) })
}

// stay has the program not told any more.
func (h *hijacked) stay() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.draining = false
}

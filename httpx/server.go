package httpx

import (
	"cmp"
	"hash/maphash"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/listen"
)

// Serve is http.Serve: it accepts connections on l and serves them with
// handler, http.DefaultServeMux if nil. It always returns a non-nil error.
func Serve(l net.Listener, handler http.Handler) error {
	s := &Server{Server: &http.Server{Handler: handler}}
	return s.Serve(l)
}

// ServeTLS is http.ServeTLS: Serve with TLS by the certificate and key in the
// two PEM files. The listener of an https group speaks TLS already; for that
// one use Serve.
func ServeTLS(l net.Listener, handler http.Handler, certFile, keyFile string) error {
	s := &Server{Server: &http.Server{Handler: handler}}
	return s.ServeTLS(l, certFile, keyFile)
}

// Server serves HTTP with the timeouts and hooks of an http.Server:
//
//	srv := &httpx.Server{Server: &http.Server{Handler: h, ReadHeaderTimeout: time.Second}}
//	err := srv.Serve(ln)
//
// The first Serve on a gozd listener puts itself in front of the http.Server's
// Handler, ConnState, TLSNextProto and, with DrainHijacked, ConnContext, which must be set before; what was
// there is still called. All else of the http.Server keeps its meaning,
// Shutdown included: it is the program's own end, which gozd never uses.
//
// A Server serves any number of listeners at a time, all of one generation.
type Server struct {
	*http.Server // Required.

	// DrainHijacked, if non-nil, is called once for each connection that a handler has hijacked and
	// not yet closed, when its generation begins to drain, and once more if that has resumed and drains again: WebSockets go on until they end or the group's
	// drain_timeout is over, and here the program can say goodbye, such as with a close frame of status
	// 1001 or 1012. The calls are spread over the group's spread, each in a goroutine of its own; a
	// connection that is hijacked later is told of at once. c is what Hijack returned, and r the request that
	// was hijacked, as Handler got it: a router may have given the handler a copy, with the same
	// values in its context.
	DrainHijacked func(c net.Conn, r *http.Request)

	setup    sync.Once
	pace     atomic.Pointer[pace] // nil unless the server drains
	h2       h2Conns
	hijacked hijacked

	turning  sync.Mutex // held while a drain begins or is called off; guards draining
	draining int        // listeners that drain

	mu    sync.Mutex         // guards what follows
	all   []*listen.Listener // those of gozd
	plain []*listen.Listener // of all, those without TLS
}

// Serve is [http.Server.Serve] on l. While a gozd listener drains it returns
// only when the generation may end.
func (s *Server) Serve(l net.Listener) error {
	ln, ok := listen.FromListener(l)
	if !ok {
		return s.Server.Serve(l)
	}
	stop := s.attach(ln)
	defer stop()
	if l != net.Listener(ln) { // TLS is around it
		return s.Server.Serve(l)
	}
	s.addPlain(ln)
	return s.Server.Serve(&movable{ln, s})
}

// addPlain notes a listener whose idle connections can move, and has connections
// from the previous generation wait for their first request as long as those of
// net/http wait for the next.
func (s *Server) addPlain(ln *listen.Listener) {
	ln.SetIdleTimeout(cmp.Or(s.IdleTimeout, s.ReadTimeout)) // http.Server.IdleTimeout: "If zero, the value of ReadTimeout is used"
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plain = append(s.plain, ln)
}

// keeps reports whether a connection goes on after the answer to r, in this
// draining generation or, sooner or later, in the next.
func (s *Server) keeps(r *http.Request) bool {
	if r.TLS != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ln := range s.plain {
		if !ln.Moves() {
			return false
		}
	}
	return len(s.plain) > 0
}

// ServeTLS is [http.Server.ServeTLS] on l.
func (s *Server) ServeTLS(l net.Listener, certFile, keyFile string) error {
	ln, ok := listen.FromListener(l)
	if !ok {
		return s.Server.ServeTLS(l, certFile, keyFile)
	}
	stop := s.attach(ln)
	defer stop()
	return s.Server.ServeTLS(l, certFile, keyFile)
}

// attach puts the server in front of the program's handler and hooks, and has
// it notice when ln drains. The caller calls stop when Serve has returned.
func (s *Server) attach(ln *listen.Listener) (stop func()) {
	s.setup.Do(func() {
		s.Handler = &closing{next: s.Handler, server: s}
		s.hijacked.enable(s)
		s.hookConnState()
		s.configureHTTP2()
	})
	s.mu.Lock()
	s.all = append(s.all, ln)
	s.mu.Unlock()
	done := make(chan struct{})
	go s.watch(ln, done)
	return func() { close(done) }
}

// watch begins the drain of the server when ln drains, and calls it off when ln resumes.
func (s *Server) watch(ln *listen.Listener, done <-chan struct{}) {
	for {
		draining, resumed := ln.Rounds()
		select {
		case <-draining:
			s.beginDrain(ln, done)
		case <-done:
			return
		}
		select {
		case <-resumed:
			s.endDrain()
		case <-done:
			return
		}
	}
}

// beginDrain sends the clients away that cannot move. The listeners of a generation drain
// together, and the slowest of them sets the pace.
func (s *Server) beginDrain(ln *listen.Listener, done <-chan struct{}) {
	s.turning.Lock()
	defer s.turning.Unlock()
	if s.draining++; s.draining > 1 {
		return
	}
	p := &pace{begin: time.Now(), hurried: ln.Hurried(), done: done, calledOff: make(chan struct{}), seed: maphash.MakeSeed()}
	s.mu.Lock()
	for _, l := range s.all {
		p.over = max(p.over, l.Spread())
	}
	s.mu.Unlock()
	s.pace.Store(p)
	s.hijacked.drain(p)
	s.h2.sendAway(p)
}

// endDrain lets those clients stay who have not been sent away yet. The listeners resume together, too.
func (s *Server) endDrain() {
	s.turning.Lock()
	defer s.turning.Unlock()
	if s.draining--; s.draining > 0 {
		return
	}
	close(s.pace.Swap(nil).calledOff)
	s.hijacked.stay()
	s.h2.stay()
}

// closing has responses say "Connection: close" while the server drains, on
// connections that cannot move.
type closing struct {
	next   http.Handler // nil means http.DefaultServeMux
	server *Server
}

// ServeHTTP implements http.Handler.
func (c *closing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// In HTTP/2 this header would have net/http send a single GOAWAY, which
	// refuses requests already on their way; see http2.go.
	if p := c.server.pace.Load(); p != nil && r.ProtoMajor == 1 && !c.server.keeps(r) && p.isDue(r) {
		w.Header().Set("Connection", "close")
	}
	defer c.server.hijacked.begin(r)()
	next := c.next
	if next == nil {
		next = http.DefaultServeMux
	}
	next.ServeHTTP(w, r)
}

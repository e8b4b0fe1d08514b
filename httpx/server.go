package httpx

import (
	"cmp"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tlswatch"
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
// Handler, ConnState, TLSNextProto and ConnContext, which must be set before; what was
// there is still called. All else of the http.Server keeps its meaning,
// Shutdown included: it is the program's own end, which gozd never uses.
//
// A Server serves any number of listeners at a time, all of one generation.
type Server struct {
	*http.Server // If nil, one with the defaults when Serve or ServeTLS is called.

	// DrainHijacked, if non-nil, is called once for each connection that a handler has hijacked and
	// not yet closed, when its generation begins to drain, and once more if that has resumed and drains again: WebSockets go on until they end or the group's
	// drain_timeout is over, and here the program can say goodbye, such as with a close frame of status
	// 1001 or 1012. The calls are spread over the group's spread, each in a goroutine of its own; a
	// connection that is hijacked later is told of at once. c is what Hijack returned, and r the request that
	// was hijacked, as Handler got it: a router may have given the handler a copy, with the same
	// values in its context. Where listen.FromConn finds no connection of gozd's below c, as with a layer that hides
	// it or on a listener that is not gozd's, nobody learns when it is closed: then the call is made only while the handler that has hijacked it runs,
	// also if that has closed it.
	DrainHijacked func(c net.Conn, r *http.Request)

	// Resume, if non-nil, takes over the connections that a program of an older generation had hijacked, and has handed over with state by
	// [Hijacked] and Handover. It is called for each in a goroutine of its own, also while this generation drains. c is what Hijacked returned
	// there: a listen.Conn, whose State is state as well, which is not nil. The client's next bytes are read from it, and it is the program's to close, as after
	// Hijack; net/http knows nothing of it, nor do ConnState and DrainHijacked. A panic is logged, and caught, as net/http does for
	// the handler that has hijacked it. Check state as far as a wrong one would do harm:
	// an older or newer version of the program has made it. If nil, such connections stay with the older generation. Through a listener that others have put around gozd's none come.
	Resume func(c net.Conn, state []byte)

	filling sync.Once // guards Server
	setup   sync.Once // guards what follows
	ownTLS  bool      // the program has set TLSConfig
	offered http.Protocols

	pace     atomic.Pointer[pace] // nil unless the server drains
	h2       h2Conns
	hijacked hijacked
	notices  notices

	turns turns

	mu    sync.Mutex           // guards what follows
	all   []*listener.Listener // those of gozd
	plain []*listener.Listener // of all, those without TLS
}

// Serve is [http.Server.Serve] on l. While a gozd listener drains it returns
// only when the generation may end.
//
// l may be a listener that others have put around gozd's: one of tls.NewListener, of a limit for connections, of the PROXY
// protocol. Connections move through it as long as it hands on every byte as it is, and listen.FromConn finds
// gozd's connection. Through others, such as TLS, clients are sent away.
//
// The listener of an https group has a tls.Config of its own. It is an error to serve it with another
// one, in TLSConfig: what that demands, such as certificates of clients, would not count. A program says it in gozd.Options.TLS.
func (s *Server) Serve(l net.Listener) error {
	s.fill()
	ln, ok := listener.FromListener(l)
	if !ok {
		return s.Server.Serve(l)
	}
	secure, _ := l.(*listener.TLSListener)
	if secure != nil && s.hasOwnTLS() {
		_ = l.Close()
		return fmt.Errorf("httpx: group %s: mode https has a TLS configuration of its own, and TLSConfig would not count: "+
			"use Options.TLS, or leave TLSConfig out", ln.Group())
	}
	stop := s.attach(ln)
	defer stop()
	switch {
	case secure != nil:
		secure.Drop(s.notServed()...)
		ln.Arrivals().SetTimeout(listener.SilentWay, s.handshakeTimeout())
		if ln.Arrivals().Has(listener.SealedWay) && tlswatch.Err() == nil && (s.offered.HTTP1() || s.h2.canMove()) {
			return s.serveSecured(secure)
		}
		return s.Server.Serve(l)
	case l == net.Listener(ln):
		s.addPlain(ln)
		if s.offered.UnencryptedHTTP2() && s.h2.canMove() {
			defer ln.Arrivals().Admit(listener.HTTP2Way, s.h2.admit)()
		}
		defer ln.Arrivals().Admit(listener.HijackedWay, s.admitHijacked)()
		return s.Server.Serve(&movable{ln, s})
	}
	s.addPlain(ln)
	return s.Server.Serve(&layered{l, ln, s})
}

// fill lets a Server without an http.Server have one.
func (s *Server) fill() {
	s.filling.Do(func() {
		if s.Server == nil {
			s.Server = new(http.Server)
		}
	})
}

// handshakeTimeout is that of net/http (tlsHandshakeTimeout in server.go, go1.26): the shortest of those that are set, or none.
func (s *Server) handshakeTimeout() time.Duration {
	var shortest time.Duration
	for _, d := range []time.Duration{s.ReadHeaderTimeout, s.ReadTimeout, s.WriteTimeout} {
		if d > 0 && (shortest == 0 || d < shortest) {
			shortest = d
		}
	}
	return shortest
}

// hasOwnTLS reports whether the program has set TLSConfig; net/http's HTTP/2 sets it later.
func (s *Server) hasOwnTLS() bool {
	s.prepare()
	return s.ownTLS
}

// addPlain notes a listener whose idle connections can move, and has connections
// from the previous generation wait for their first request as long as those of
// net/http wait for the next.
func (s *Server) addPlain(ln *listener.Listener) {
	ln.SetIdleTimeout(s.idleTimeout())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plain = append(s.plain, ln)
}

// idleTimeout is net/http's: "If zero, the value of ReadTimeout is used" (http.Server.IdleTimeout).
func (s *Server) idleTimeout() time.Duration { return cmp.Or(s.IdleTimeout, s.ReadTimeout) }

// movableConn is a connection that may move.
type movableConn interface{ moves() bool }

// keeps reports whether a connection goes on after the answer to r, in this
// draining generation or, sooner or later, in the next.
func (s *Server) keeps(r *http.Request) bool {
	in, ok := r.Context().Value(connKey{}).(*served)
	if !ok {
		return false
	}
	if c, ok := in.conn.(movableConn); !ok || !c.moves() {
		return false
	}
	if _, isSecure := in.conn.(*secureConn); isSecure {
		return true
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

// drains reports whether a listener drains, and has not resumed. The pace's end comes a moment after that.
func (s *Server) drains() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.all, func(ln *listener.Listener) bool { return isClosed(ln.Draining()) })
}

// ServeTLS is [http.Server.ServeTLS] on l.
func (s *Server) ServeTLS(l net.Listener, certFile, keyFile string) error {
	s.fill()
	ln, ok := listener.FromListener(l)
	if !ok {
		return s.Server.ServeTLS(l, certFile, keyFile)
	}
	if _, secure := l.(*listener.TLSListener); secure {
		_ = l.Close()
		return fmt.Errorf("httpx: group %s: mode https speaks TLS already, and ServeTLS would speak it once more inside: "+
			"use Serve, or mode http", ln.Group())
	}
	stop := s.attach(ln)
	defer stop()
	return s.Server.ServeTLS(l, certFile, keyFile)
}

// attach puts the server in front of the program's handler and hooks, and has
// it notice when ln drains. The caller calls stop when Serve has returned.
func (s *Server) attach(ln *listener.Listener) (stop func()) {
	s.prepare()
	s.mu.Lock()
	s.all = append(s.all, ln)
	s.mu.Unlock()
	s.enter()
	done := make(chan struct{})
	go s.watch(ln, done)
	return func() { close(done) }
}

func (s *Server) prepare() {
	s.setup.Do(func() {
		s.ownTLS, s.offered = s.TLSConfig != nil, s.protocols()
		s.Handler = &closing{next: s.Handler, server: s}
		s.hijacked.enable(s)
		s.hookConnContext()
		s.hookConnState()
		s.configureHTTP2()
	})
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
	if p := c.server.pace.Load(); p != nil && r.ProtoMajor == 1 && c.server.drains() && !c.server.keeps(r) && p.isDue(r) && isLast(r) {
		w.Header().Set("Connection", "close")
	}
	defer c.server.hijacked.begin(r)()
	next := c.next
	if next == nil {
		next = http.DefaultServeMux
	}
	next.ServeHTTP(w, r)
}

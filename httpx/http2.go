package httpx

import (
	"context"
	"crypto/tls"
	"log"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/net/http2"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/h2move"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
)

// configureHTTP2 has HTTP/2 connections served by golang.org/x/net/http2 over a
// connection of ours, which can tell the client to go away in two steps. The
// HTTP/2 server inside net/http is the same code, but takes only *tls.Conn and
// knows only one GOAWAY, which names the last stream it has seen: requests
// already on their way are refused.
//
// A program that has set TLSNextProto has chosen its own HTTP/2, or none.
func (s *Server) configureHTTP2() {
	if !s.ownHTTP2() || !s.offered.HTTP2() && !s.offered.UnencryptedHTTP2() || isGodebug("http2server", "0") {
		return
	}
	conf := new(http2.Server)
	s.h2.limits = sync.OnceValues(func() (h2move.Limits, error) {
		limits, err := probe(conf, s.Server)
		if err != nil {
			s.logf("%v", err)
		}
		return limits, err
	})
	if err := http2.ConfigureServer(s.Server, conf); err != nil {
		return // a TLSConfig that forbids HTTP/2's cipher: net/http reports it when it serves
	}
	s.RegisterOnShutdown(s.h2.end)
	s.TLSNextProto[http2.NextProtoTLS] = func(hs *http.Server, c *tls.Conn, h http.Handler) {
		listener.SetActivity(c, listener.Unknown) // it has its own way to end
		hc := s.h2.secure(c)
		defer s.h2.follow(hc.h2Conn)()
		conf.ServeConn(hc, &http2.ServeConnOpts{
			Context: baseContext(h), BaseConfig: hs, Handler: hc.handler(h, hc.state), SawClientPreface: hc.in.Skip == 0,
		})
	}
	// net/http looks here for Protocols.UnencryptedHTTP2, and hands over the
	// connection, whose preface it has read, in a *tls.Conn that is none
	// (nextProtoUnencryptedHTTP2 and unencryptedTLSConn in server.go, go1.24).
	s.TLSNextProto[unencryptedHTTP2] = func(hs *http.Server, c *tls.Conn, h http.Handler) {
		below, ok := c.NetConn().(interface{ UnencryptedNetConn() net.Conn })
		if !ok {
			_ = c.Close()
			return
		}
		hc := s.h2.plain(below.UnencryptedNetConn())
		defer s.h2.follow(hc)()
		conf.ServeConn(hc, &http2.ServeConnOpts{
			Context: baseContext(h), BaseConfig: hs, Handler: hc.handler(h, nil), SawClientPreface: true,
		})
	}
}

// logf is http.Server's own.
func (s *Server) logf(format string, args ...any) {
	if s.ErrorLog != nil {
		s.ErrorLog.Printf(format, args...)
		return
	}
	log.Printf(format, args...)
}

const unencryptedHTTP2 = "unencrypted_http2"

// protocols are what net/http serves on a connection, by the rules of its Server.protocols: TLSNextProto
// without "h2" is the old way to have no HTTP/2. It is called before configureHTTP2.
func (s *Server) protocols() http.Protocols {
	if s.Protocols != nil {
		return *s.Protocols
	}
	var p http.Protocols
	p.SetHTTP1(true)
	if _, has := s.TLSNextProto[http2.NextProtoTLS]; has {
		p.SetHTTP2(true)
	} else {
		p.SetHTTP2(s.TLSNextProto == nil && !isGodebug("http2server", "0"))
	}
	return p
}

// notServed are the protocols that a client over TLS must not be offered, by their names in ALPN: it would
// speak one, and get no answer.
func (s *Server) notServed() []string {
	var names []string
	_, has := s.TLSNextProto[http2.NextProtoTLS] // also as configureHTTP2 has set it
	if !s.offered.HTTP2() || !has {
		names = append(names, http2.NextProtoTLS)
	}
	if !s.offered.HTTP1() {
		names = append(names, "http/1.1")
	}
	return names
}

// ownHTTP2 reports, until configureHTTP2 is called, whether HTTP/2 is ours.
func (s *Server) ownHTTP2() bool { return s.TLSNextProto == nil }

// baseContext finds the connection's context where net/http hides it for its
// own HTTP/2 server: in an exported method of the handler.
func baseContext(h http.Handler) context.Context {
	if b, ok := h.(interface{ BaseContext() context.Context }); ok {
		return b.BaseContext()
	}
	return context.Background()
}

// h2Conns are a server's HTTP/2 connections.
type h2Conns struct {
	limits func() (h2move.Limits, error) // of the server; nil if HTTP/2 is not ours

	mu     sync.Mutex // guards what follows
	conns  map[*h2Conn]struct{}
	away   bool // sendAway was called
	ending bool // end was
}

// follow has c sent away with the others, until the caller calls stop.
func (h *h2Conns) follow(c *h2Conn) (stop func()) {
	c.of = h
	listener.AtDeadline(c.Conn, c.sendAwayNow)
	away, ending := h.add(c)
	switch {
	case ending:
		c.sendAwayOnce()
	case away:
		c.sendAwaySoon()
	}
	if c.isOver {
		go c.sendAway()
	}
	return func() { h.remove(c) }
}

// add reports what c is late for: the others have been sent away already.
func (h *h2Conns) add(c *h2Conn) (away, ending bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.conns == nil {
		h.conns = make(map[*h2Conn]struct{})
	}
	h.conns[c] = struct{}{}
	return h.away, h.ending
}

// isAway reports whether clients are sent away.
func (h *h2Conns) isAway() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.away
}

func (h *h2Conns) remove(c *h2Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.conns, c)
	c.stopTimers()
}

// sendAway has all sent away, each at its time. New ones go as soon as they can.
func (h *h2Conns) sendAway(p *pace) {
	h.mu.Lock()
	h.away = true
	conns := slices.Collect(maps.Keys(h.conns))
	h.mu.Unlock()
	go p.each(len(conns), func(i int) {
		// A client that does not read blocks the write, and only its own.
		go conns[i].sendAwaySoon()
	})
}

// stay has new ones stay. Those that have been sent away go.
func (h *h2Conns) stay() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.away = false
	for c := range h.conns {
		c.stay()
	}
}

// freshTime is how long a new connection may be used before its client is sent
// away. Upgrades that follow each other faster than a handshake takes would have
// it dial again and again, and never ask anything.
const freshTime = time.Second

// goAwayLinger is how long a client that knows that it must go, and has no
// stream open, may take to close the connection itself. net/http and nghttp2 do
// so at once.
const goAwayLinger = time.Second

// hurriedLinger is goAwayLinger when the whole connection has a second left. It is not nothing: the
// server says that it is idle when its last frame is in its buffer, and a PING would overtake that.
const hurriedLinger = goAwayLinger / 10

package httpx

import (
	"context"
	"crypto/tls"
	"net/http"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

// configureHTTP2 has HTTP/2 connections served by golang.org/x/net/http2 over a
// connection of ours, which can tell the client to go away in two steps. The
// HTTP/2 server inside net/http is the same code, but takes only *tls.Conn and
// knows only one GOAWAY, which names the last stream it has seen: requests
// already on their way are refused.
//
// A program that has set TLSNextProto has chosen its own HTTP/2, or none.
func (s *Server) configureHTTP2() {
	if s.TLSNextProto != nil || (s.Protocols != nil && !s.Protocols.HTTP2()) {
		return
	}
	conf := new(http2.Server)
	if err := http2.ConfigureServer(s.Server, conf); err != nil {
		return // a TLSConfig that forbids HTTP/2's cipher: net/http reports it when it serves
	}
	s.TLSNextProto[http2.NextProtoTLS] = func(hs *http.Server, c *tls.Conn, h http.Handler) {
		hc := newH2Conn(c)
		if !s.h2.add(hc) {
			hc.sendAway()
		}
		defer s.h2.remove(hc)
		conf.ServeConn(hc, &http2.ServeConnOpts{Context: baseContext(h), BaseConfig: hs, Handler: h})
	}
}

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
	mu    sync.Mutex // guards what follows
	conns map[*h2Conn]struct{}
	away  bool // sendAway was called
}

// add reports false when c is late: the others have been sent away already.
func (h *h2Conns) add(c *h2Conn) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.conns == nil {
		h.conns = make(map[*h2Conn]struct{})
	}
	h.conns[c] = struct{}{}
	return !h.away
}

func (h *h2Conns) remove(c *h2Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.conns, c)
	c.stopLinger()
}

func (h *h2Conns) sendAway() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.away = true
	for c := range h.conns {
		// A client that does not read blocks the write, and only its own.
		go c.sendAway()
	}
}

// goAwayLinger is how long a client that knows that it must go, and has no
// stream open, may take to close the connection itself. net/http and nghttp2 do
// so at once.
const goAwayLinger = time.Second

//go:build linux

package clients

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/compare/app"
)

// server is one whose connections a test can close.
type server struct {
	*httptest.Server
	mu    sync.Mutex
	conns []net.Conn
}

func startServer(t *testing.T, handler http.Handler, secure bool) *server {
	t.Helper()
	s := &server{Server: httptest.NewUnstartedServer(handler)}
	s.Config.ConnState = func(c net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.conns = append(s.conns, c)
		}
	}
	if secure {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

func (s *server) user(c http1) *http1 {
	c.address = s.Listener.Addr().String()
	return &c
}

func (s *server) closeConns(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	s.conns = nil
}

func mustDo(t *testing.T, c *http1, dialed, again bool) {
	t.Helper()
	r, err := c.Do(t.Context())
	if err != nil || r.Dialed != dialed || r.Reconnected != again {
		t.Fatalf("Do = %+v, %v, want Dialed %v, Reconnected %v", r, err, dialed, again)
	}
}

// The one looks before it asks, and the other does not.
func TestWhoLooksLosesNothing(t *testing.T) {
	s := startServer(t, app.Handler(), false)
	naive, careful := s.user(http1{keep: true}), s.user(http1{keep: true, look: true})
	defer naive.Close()
	defer careful.Close()
	for range 2 {
		mustDo(t, naive, naive.dialed == 0, false)
		mustDo(t, careful, careful.dialed == 0, false)
	}
	s.closeConns(t)
	if _, err := naive.Do(t.Context()); err == nil {
		t.Error("a request on a closed connection is answered")
	}
	mustDo(t, naive, true, false) // after a loss, it is no planned reconnect
	mustDo(t, careful, true, true)
}

func TestConnectionForEachRequest(t *testing.T) {
	s := startServer(t, app.Handler(), false)
	c := s.user(http1{})
	mustDo(t, c, true, false)
	mustDo(t, c, true, false)
}

// A server may say goodbye: that is no loss.
func TestAnnouncedClose(t *testing.T) {
	s := startServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		app.Handler().ServeHTTP(w, r)
	}), false)
	c := s.user(http1{keep: true})
	mustDo(t, c, true, false)
	mustDo(t, c, true, true)
}

func TestWrongAnswersAreLosses(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"status": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) },
		"body":   func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("other")) },
		"cut": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := startServer(t, handler, false).user(http1{keep: true})
			if _, err := c.Do(t.Context()); err == nil {
				t.Error("it passes for an answer")
			}
			if c.conn != nil {
				t.Error("the connection is kept")
			}
		})
	}
}

// Session tickets that come after the handshake are no end of the connection.
func TestTLSIsResumed(t *testing.T) {
	s := startServer(t, app.Handler(), true)
	var resumed []bool
	c := s.user(http1{keep: true, look: true, resumed: func(did bool) { resumed = append(resumed, did) }})
	c.tls = &tls.Config{RootCAs: s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs, ServerName: "example.com", ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	defer c.Close()
	mustDo(t, c, true, false)
	mustDo(t, c, false, false)
	s.closeConns(t)
	mustDo(t, c, true, true)
	if len(resumed) != 1 || !resumed[0] {
		t.Errorf("handshakes after the first resumed a session: %v, want one that did", resumed)
	}
}

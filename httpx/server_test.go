package httpx_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loopback"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/memnet"
)

// states are what a program's ConnState hook was told.
type states struct {
	mu  sync.Mutex // guards all
	all []http.ConnState
}

func (s *states) seen() []http.ConnState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.all)
}

// hook returns the hook, which wants connections of the same type as without
// gozd.
func (s *states) hook(t *testing.T, want reflect.Type) func(net.Conn, http.ConnState) {
	t.Helper()
	return func(c net.Conn, state http.ConnState) {
		if got := reflect.TypeOf(c); got != want {
			t.Errorf("ConnState %v sees a %v, want %v", state, got, want)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.all = append(s.all, state)
	}
}

func TestProgramsConnState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen states
		s := newServer(t, true, &http.Server{
			Handler:   http.HandlerFunc(slow),
			ConnState: seen.hook(t, reflect.TypeFor[*tls.Conn]()),
		})
		c := newClient2(t, s.dialTLS(t, "h2"))
		c.get(t, 1, "/")
		c.wantAnswer(t, 1)
		s.drain(t)
		c.want(t, goAway, ping)
		c.ackPing(t, pingData)
		c.wantClosed(t, goAwayLinger)
		synctest.Wait()
		want := []http.ConnState{
			http.StateNew, http.StateActive, http.StateIdle, // the preface
			http.StateActive, http.StateIdle, // a stream
			http.StateClosed,
		}
		if got := seen.seen(); !slices.Equal(got, want) {
			t.Errorf("ConnState was told %v, want %v", got, want)
		}
	})
}

// A handler sees over HTTP/2 what net/http's own server shows it.
func TestRequestOverHTTP2(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		s := newServer(t, true, &http.Server{
			Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				ctx := r.Context()
				if r.ProtoMajor != 2 || r.TLS == nil || r.TLS.NegotiatedProtocol != "h2" {
					t.Errorf("%s, TLS %+v, want HTTP/2.0 over TLS", r.Proto, r.TLS)
				}
				if _, ok := ctx.Value(http.ServerContextKey).(*http.Server); !ok {
					t.Error("no http.ServerContextKey")
				}
				if _, ok := ctx.Value(http.LocalAddrContextKey).(net.Addr); !ok {
					t.Error("no http.LocalAddrContextKey")
				}
				if conn, ok := ctx.Value(key{}).(listener.Conn); !ok || conn.Group() != "web" {
					t.Error("no value from ConnContext")
				}
			}),
			ConnContext: func(ctx context.Context, c net.Conn) context.Context {
				conn, _ := listener.FromConn(c)
				return context.WithValue(ctx, key{}, conn)
			},
		})
		c := newClient2(t, s.dialTLS(t, "h2"))
		c.get(t, 1, "/")
		c.want(t, "HEADERS 1 200")
	})
}

func TestProgramsOwnHTTP2(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, true, &http.Server{TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){
			"h2": func(_ *http.Server, c *tls.Conn, _ http.Handler) { io.WriteString(c, "own") },
		}})
		conn := s.dialTLS(t, "h2")
		if got, err := io.ReadAll(conn); string(got) != "own" {
			t.Errorf("the server says %q, %v, want that of the program's own", got, err)
		}
	})
}

// On another listener the Server is net/http's, with nothing in front.
func TestPlainListenerIsUntouched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memnet.Listen()
		handler := http.NewServeMux()
		srv := &httpx.Server{Server: &http.Server{Handler: handler}}
		served := make(chan error, 1)
		go func() { served <- srv.Serve(mem) }()
		conn, err := mem.Dial()
		if err != nil {
			t.Fatal(err)
		}
		if resp := newClient1(conn).get(t, "/", ""); resp.StatusCode != http.StatusNotFound || resp.Close {
			t.Errorf("status %d, Connection: close %v, want 404", resp.StatusCode, resp.Close)
		}
		conn.Close()
		srv.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve = %v, want http.ErrServerClosed", err)
		}
		if srv.Handler != http.Handler(handler) || srv.ConnState != nil {
			t.Error("Handler or ConnState is not the program's")
		}
	})
}

func TestNilHandler(t *testing.T) {
	defer func(mux *http.ServeMux) { http.DefaultServeMux = mux }(http.DefaultServeMux)
	http.DefaultServeMux = http.NewServeMux()
	http.HandleFunc("/default", slow)
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, false, &http.Server{})
		if resp := newClient1(s.dial(t)).get(t, "/default", ""); resp.StatusCode != http.StatusOK {
			t.Errorf("status %d, want 200", resp.StatusCode)
		}
	})
}

func TestSeveralListeners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &httpx.Server{Server: &http.Server{Handler: http.HandlerFunc(slow)}}
		served := make(chan error, 3)
		var listeners []*listener.Listener
		var clients []*client1
		for range cap(served) {
			mem := memnet.Listen()
			ln := listener.New(mem, listener.Options{})
			listeners = append(listeners, ln)
			go func() { served <- srv.Serve(ln) }()
			conn, err := mem.Dial()
			if err != nil {
				t.Fatal(err)
			}
			clients = append(clients, newClient1(conn))
		}
		for i, c := range clients {
			if resp := c.get(t, "/", ""); resp.StatusCode != http.StatusOK || resp.Close {
				t.Errorf("listener %d: status %d, Connection: close %v", i, resp.StatusCode, resp.Close)
			}
		}
		for _, ln := range listeners { // a generation drains as a whole
			ln.StopAccepting()
		}
		synctest.Wait() // the server has noticed
		for i, c := range clients {
			if resp := c.get(t, "/", ""); resp.StatusCode != http.StatusOK || !resp.Close {
				t.Errorf("listener %d draining: status %d, Connection: close %v", i, resp.StatusCode, resp.Close)
			}
			c.wantEOF(t)
		}
		for range listeners {
			if err := <-served; !errors.Is(err, net.ErrClosed) {
				t.Errorf("Serve = %v, want net.ErrClosed", err)
			}
		}
	})
}

// Shutdown is the program's own end, and means what it means to net/http.
func TestProgramsShutdown(t *testing.T) {
	for _, draining := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(t, true, &http.Server{Handler: http.HandlerFunc(slow)})
			busy := newClient1(secure(t, s.dial(t), "http/1.1"))
			busy.write("GET /1m HTTP/1.1\r\nHost: x\r\n\r\n")
			h2 := newClient2(t, s.dialTLS(t, "h2"))
			h2.get(t, 1, "/1m")
			synctest.Wait()
			if draining {
				s.drain(t)
				h2.want(t, goAway, ping)
			}
			start := time.Now()
			shut := make(chan error, 1)
			go func() { shut <- s.http.Shutdown(t.Context()) }()
			h2.want(t, "GOAWAY 1 NO_ERROR")
			h2.wantAnswer(t, 1)
			h2.want(t, ended)
			if resp := busy.response(t); resp.StatusCode != http.StatusOK || !resp.Close {
				t.Errorf("draining %v: status %d, Connection: close %v", draining, resp.StatusCode, resp.Close)
			}
			busy.wantEOF(t)
			if err := <-shut; err != nil {
				t.Errorf("draining %v: Shutdown = %v, want nil", draining, err)
			}
			if took := time.Since(start); took < time.Minute || took > time.Minute+2*time.Second {
				t.Errorf("draining %v: Shutdown took %v, want a minute", draining, took)
			}
		})
	}
}

func TestServeTLS(t *testing.T) {
	cert, key := pemFiles(t)
	for _, plain := range []bool{false, true} {
		inner := loopback.Listen(t, "tcp")
		gozd := listener.New(inner, listener.Options{})
		ln := net.Listener(gozd)
		if plain {
			ln = inner
		}
		served := make(chan error, 1)
		go func() { served <- httpx.ServeTLS(ln, http.HandlerFunc(slow), cert, key) }()
		conn, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		c := newClient2(t, secure(t, conn, "h2"))
		c.get(t, 1, "/")
		c.wantAnswer(t, 1)
		gozd.StopAccepting()
		if !plain {
			c.want(t, goAway, ping)
		}
		c.conn.Close()
		if err := <-served; !errors.Is(err, net.ErrClosed) {
			t.Errorf("plain %v: ServeTLS = %v, want net.ErrClosed", plain, err)
		}
	}
}

func TestServeTLSWithoutCertificate(t *testing.T) {
	for _, ln := range []net.Listener{memnet.Listen(), listener.New(memnet.Listen(), listener.Options{})} {
		if err := httpx.ServeTLS(ln, nil, "none", "none"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("ServeTLS on a %T = %v, want os.ErrNotExist", ln, err)
		}
		ln.Close()
	}
}

// pemFiles writes the certificate of these tests and its key.
func pemFiles(t *testing.T) (cert, key string) {
	t.Helper()
	pair := serverTLS.Certificates[0]
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, block := range map[string]*pem.Block{
		cert: {Type: "CERTIFICATE", Bytes: pair.Certificate[0]},
		key:  {Type: "PRIVATE KEY", Bytes: der},
	} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func ExampleServer() {
	ln, err := net.Listen("tcp", ":8080") // or gozd.Listen("web")
	if err != nil {
		log.Fatal(err)
	}
	srv := &httpx.Server{Server: &http.Server{
		Handler:           http.NotFoundHandler(),
		ReadHeaderTimeout: 10 * time.Second,
	}}
	log.Fatal(srv.Serve(ln))
}

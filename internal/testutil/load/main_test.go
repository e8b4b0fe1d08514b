package load_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loopback"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testGeneration is the generation that the servers of these tests claim.
const testGeneration = 3

// identity is the answer of "/", and its headers.
func identity(w http.ResponseWriter) {
	mark(w)
	fmt.Fprintf(w, `{"group":"web","generation":%d,"pid":%d,"version":"v1"}`, testGeneration, os.Getpid())
}

func mark(w http.ResponseWriter) {
	w.Header().Set("X-Gozd-Generation", strconv.Itoa(testGeneration))
	w.Header().Set("X-Gozd-Pid", strconv.Itoa(os.Getpid()))
}

// app has the routes that the clients expect of a server under load.
func app() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { identity(w) })
	mux.HandleFunc("POST /echo", echo)
	mux.HandleFunc("GET /slow", func(w http.ResponseWriter, r *http.Request) {
		d, _ := time.ParseDuration(r.FormValue("d"))
		time.Sleep(d)
		identity(w)
	})
	mux.HandleFunc("GET /stream", stream)
	mux.HandleFunc("GET /file", func(w http.ResponseWriter, r *http.Request) {
		mark(w)
		size, _ := strconv.Atoi(r.FormValue("size"))
		io.WriteString(w, strings.Repeat("x", size))
	})
	mux.HandleFunc("GET /hijack", hijack)
	return mux
}

func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	mark(w)
	w.Write(body)
}

func stream(w http.ResponseWriter, r *http.Request) {
	mark(w)
	n, _ := strconv.Atoi(r.FormValue("n"))
	every, _ := time.ParseDuration(r.FormValue("every"))
	for i := range n {
		fmt.Fprintf(w, "line %d of %d\n", i+1, n)
		http.NewResponseController(w).Flush()
		time.Sleep(every)
	}
}

func hijack(w http.ResponseWriter, _ *http.Request) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n"+
		"X-Gozd-Generation: %d\r\nX-Gozd-Pid: %d\r\n\r\n", testGeneration, os.Getpid())
	for rw.Flush() == nil {
		line, err := rw.ReadString('\n')
		if err != nil {
			return
		}
		rw.WriteString(line)
	}
}

// listen listens on loopback, or on a Unix socket.
func listen(t *testing.T, network string) (net.Listener, load.Target) {
	t.Helper()
	ln := loopback.Listen(t, network)
	return ln, load.Target{Network: network, Address: ln.Addr().String()}
}

// serveHTTP serves h on network: "tcp", "unix", or "tls" for TLS on TCP with
// HTTP/2.
func serveHTTP(t *testing.T, network string, h http.Handler) load.Target {
	t.Helper()
	secure := network == "tls"
	if secure {
		network = "tcp"
	}
	srv := httptest.NewUnstartedServer(h)
	srv.Listener.Close()
	ln, target := listen(t, network)
	srv.Listener = ln
	srv.EnableHTTP2 = secure
	if secure {
		srv.StartTLS()
		target.TLS = srv.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	} else {
		srv.Start()
	}
	t.Cleanup(srv.Close)
	return target
}

// serveConns runs handle for each connection and closes it afterwards. It is
// for servers that misbehave.
func serveConns(t *testing.T, handle func(n int, conn net.Conn)) load.Target {
	t.Helper()
	ln, target := listen(t, "tcp")
	var handlers sync.WaitGroup
	handlers.Go(func() {
		for n := 1; ; n++ {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			handlers.Go(func() {
				defer conn.Close()
				handle(n, conn)
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		handlers.Wait()
	})
	return target
}

// reset closes conn in the way that makes the peer's next read or write fail.
func reset(conn net.Conn) {
	conn.(*net.TCPConn).SetLinger(0)
	conn.Close()
}

// testTLS returns a server's TLS configuration, and a client's for it.
func testTLS(t *testing.T, alpn string) (server, client *tls.Config) {
	t.Helper()
	srv := httptest.NewTLSServer(nil)
	defer srv.Close()
	server = &tls.Config{Certificates: srv.TLS.Certificates, NextProtos: []string{alpn}}
	return server, srv.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
}

// closing closes c when the test ends, and fails the test if err is not nil.
func closing[C load.Client](t *testing.T) func(c C, err error) C {
	t.Helper()
	return func(c C, err error) C {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
}

// mustDo does one exchange, which has to succeed.
func mustDo(t *testing.T, c load.Client) load.Reply {
	t.Helper()
	r, err := c.Do(t.Context())
	if err != nil {
		t.Fatalf("Do: %v", err)
	}
	if r.PID != os.Getpid() {
		t.Errorf("pid %d answered, want %d", r.PID, os.Getpid())
	}
	if r.Took <= 0 {
		t.Errorf("the exchange took %v", r.Took)
	}
	return r
}

// mustFail does one exchange, which has to fail with all of texts in the
// error.
func mustFail(t *testing.T, c load.Client, texts ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	r, err := c.Do(ctx)
	if err == nil {
		t.Fatalf("Do = %+v, want an error with %q", r, texts)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("error %q does not contain %q", err, text)
		}
	}
}

//go:build unix

package httpx_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/lockedbuf"
)

// A client that does not begin, or end, its handshake holds nobody up, and moves while it is silent.
func TestHandshakesDoNotWaitForEachOther(t *testing.T) {
	old, next := named(t, "old"), named(t, "new")
	silent := old.client(t)
	half := old.client(t)
	half.Write([]byte{22, 3, 1})
	for range 3 {
		old.secureClient(t, nil).wantPost(t, "old", "x")
	}
	old.replaceBy(t, next)
	old.wantMoved(t, 4)
	tc := tls.Client(silent.Conn, clientTLS.Clone())
	if err := tc.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	newClient1(tc).wantPost(t, "new", "y")
}

// A handshake that fails looks to clients and to the log as with net/http alone.
func TestFailedHandshakes(t *testing.T) {
	for _, tt := range []struct{ name, send, want, says string }{
		{"HTTP", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n", "client sent an HTTP request to an HTTPS server"},
		{"nonsense", "nonsense nonsense", "\x15\x03\x01\x00\x02\x02\x46", "first record does not look like a TLS handshake"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var said lockedbuf.Buffer
			g := secureGeneration(t, "tcp", &http.Server{ErrorLog: newLog(&said)}, serverTLS)
			c := g.client(t)
			io.WriteString(c, tt.send)
			if got, err := io.ReadAll(c); !strings.HasPrefix(string(got), tt.want[:3]) && err != nil || tt.name == "HTTP" && string(got) != tt.want {
				t.Errorf("the client reads %q, %v, want %q", got, err, tt.want)
			}
			eventually(t, "logged", func() bool {
				return strings.Contains(said.String(), "TLS handshake error from ") && strings.Contains(said.String(), tt.says)
			})
		})
	}
}

// The timeouts of net/http are kept before, in and after the handshake, and after a move.
func TestTLSTimeouts(t *testing.T) {
	const short, long = 300 * time.Millisecond, 30 * time.Second
	wantEnd := func(t *testing.T, c net.Conn) {
		t.Helper()
		start := time.Now()
		if _, err := io.ReadAll(c); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("Read = %v, want the end", err)
		}
		if took := time.Since(start); took < short/2 || took > long/2 {
			t.Errorf("the connection ended after %v, want about %v", took, short)
		}
	}
	t.Run("handshake", func(t *testing.T) {
		g := secureGeneration(t, "tcp", &http.Server{ReadHeaderTimeout: short, ErrorLog: newLog(io.Discard)}, serverTLS)
		wantEnd(t, g.client(t))
	})
	t.Run("idle", func(t *testing.T) {
		g := secureGeneration(t, "tcp", &http.Server{Handler: by("it"), IdleTimeout: short}, serverTLS)
		c := g.secureClient(t, nil)
		c.wantPost(t, "it", "x")
		wantEnd(t, c)
	})
	t.Run("after the handshake there is none left", func(t *testing.T) {
		g := secureGeneration(t, "tcp", &http.Server{Handler: by("it"), WriteTimeout: short}, serverTLS)
		c := g.secureClient(t, nil)
		time.Sleep(2 * short)
		c.wantPost(t, "it", "x")
	})
	t.Run("parked", func(t *testing.T) {
		old := named(t, "old")
		next := secureGeneration(t, "tcp", &http.Server{Handler: by("new"), IdleTimeout: short}, serverTLS)
		c := old.secureClient(t, nil)
		c.wantPost(t, "old", "x")
		old.replaceBy(t, next)
		wantEnd(t, c)
	})
	t.Run("header after a move", func(t *testing.T) {
		old := named(t, "old")
		next := secureGeneration(t, "tcp", &http.Server{Handler: by("new"), ReadHeaderTimeout: short}, serverTLS)
		c := old.secureClient(t, nil)
		old.replaceBy(t, next)
		old.wantMoved(t, 1)
		io.WriteString(c, "POST / ")
		wantEnd(t, c)
	})
}

// The program's own end: clients in the midst of a handshake are served, and nobody waits for those who have not begun.
func TestShutdownDuringHandshakes(t *testing.T) {
	for _, closing := range []string{"Close", "Shutdown"} {
		g := named(t, "it")
		silent := g.client(t)
		half := g.client(t)
		half.Write([]byte{22, 3, 1})
		g.secureClient(t, nil).wantPost(t, "it", "x")
		start := time.Now()
		if closing == "Close" {
			g.http.Close()
		} else {
			_ = g.http.Shutdown(t.Context()) // what it waits for is seen below
		}
		for _, c := range []*client1{silent, half} {
			if _, err := io.ReadAll(c); err != nil && !isReset(err) {
				t.Errorf("%s: Read = %v, want the end", closing, err)
			}
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("%s took %v", closing, took)
		}
	}
}

// At a stop idle connections end, and what has arrived is answered.
func TestTLSAtAStop(t *testing.T) {
	for range 5 {
		g := named(t, "it")
		idle, fresh := g.secureClient(t, nil), g.secureClient(t, nil)
		idle.wantPost(t, "it", "x")
		g.CloseIdle()
		go g.StopAccepting()
		if _, err := io.ReadAll(idle); err != nil {
			t.Errorf("an idle client reads %v, want the end with a close_notify", err)
		}
		if _, err := fresh.post("y"); err != nil && !strings.Contains(err.Error(), "Connection: close") {
			t.Errorf("a fresh client: %v, want an answer", err)
		}
		if _, err := io.ReadAll(fresh); err != nil {
			t.Errorf("after it a fresh client reads %v, want the end with a close_notify", err)
		}
	}
}

package httpx_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loopback"
)

func TestIdleConnectionStaysUntilItsNextRequest(t *testing.T) {
	for _, secured := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(t, secured, &http.Server{Handler: http.HandlerFunc(slow)})
			conn := s.dial(t)
			if secured {
				conn = secure(t, conn, "http/1.1")
			}
			c := newClient1(conn)
			for range 2 {
				if resp := c.get(t, "/", ""); resp.StatusCode != http.StatusOK || resp.Close {
					t.Errorf("TLS %v: before the drain: status %d, Connection: close %v", secured, resp.StatusCode, resp.Close)
				}
			}
			drained := s.drain(t)
			time.Sleep(time.Hour)
			if resp := c.get(t, "/", ""); resp.StatusCode != http.StatusOK || !resp.Close {
				t.Errorf("TLS %v: while draining: status %d, Connection: close %v", secured, resp.StatusCode, resp.Close)
			}
			c.wantEOF(t)
			if r := <-drained; r.Ended != 1 || r.Cut != 0 {
				t.Errorf("TLS %v: Drain = %+v, want 1 ended", secured, r)
			}
		})
	}
}

func TestRequestsThatTheDrainMeets(t *testing.T) {
	tests := []struct {
		name   string
		before string // sent before the drain
		after  string // and the rest, a minute later
		close  bool   // the answer says so
	}{
		{"nothing sent", "", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", true},
		{"half a line", "GET / HT", "TP/1.1\r\nHost: x\r\n\r\n", true},
		{"half a header", "GET / HTTP/1.1\r\nHost: x\r\n", "\r\n", true},
		{"in the handler", "GET /1h HTTP/1.1\r\nHost: x\r\n\r\n", "", false},
		{"half a body", "POST /1h HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n1", "2", false},
		{"HTTP/1.0", "", "GET / HTTP/1.0\r\n\r\n", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, false, &http.Server{Handler: http.HandlerFunc(slow)})
				c := newClient1(s.dial(t))
				io.WriteString(c, tt.before)
				synctest.Wait()
				s.drain(t)
				time.Sleep(time.Minute)
				io.WriteString(c, tt.after)
				if resp := c.response(t); resp.StatusCode != http.StatusOK || resp.Close != tt.close {
					t.Errorf("status %d, Connection: close %v, want 200, %v", resp.StatusCode, resp.Close, tt.close)
				}
				if !tt.close {
					if resp := c.get(t, "/", ""); !resp.Close {
						t.Error("the next response does not say Connection: close")
					}
				}
				c.wantEOF(t)
			})
		})
	}
}

// A hijacked connection is the handler's: it stays until the handler ends it.
func TestHijackedConnectionStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, false, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			conn, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n")
			line, _ := rw.ReadString('\n')
			io.WriteString(conn, line)
		})})
		c := newClient1(s.dial(t))
		if resp := c.get(t, "/", "Connection: Upgrade\r\n"); resp.StatusCode != http.StatusSwitchingProtocols {
			t.Fatalf("status %d, want 101", resp.StatusCode)
		}
		drained := s.drain(t)
		time.Sleep(time.Hour)
		if len(drained) != 0 {
			t.Fatal("Drain returned while a hijacked connection was open")
		}
		io.WriteString(c, "line\n")
		if line, err := c.br.ReadString('\n'); line != "line\n" {
			t.Errorf("the handler says %q, %v, want the line", line, err)
		}
		if r := <-drained; r.Ended != 1 {
			t.Errorf("Drain = %+v, want 1 ended", r)
		}
	})
}

// The same over sockets, where the connections are of other types.
func TestServeOnSockets(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		for _, plain := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s plain %v", network, plain), func(t *testing.T) {
				inner := loopback.Listen(t, network)
				gozd := listener.New(inner, listener.Options{})
				ln := net.Listener(gozd)
				if plain {
					ln = inner
				}
				served := make(chan error, 1)
				go func() { served <- httpx.Serve(ln, http.HandlerFunc(slow)) }()
				conn, err := net.Dial(network, ln.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				c := newClient1(conn)
				for range 2 {
					if resp := c.get(t, "/", ""); resp.Close {
						t.Error("Connection: close before the drain")
					}
				}
				gozd.StopAccepting()
				if plain { // it knows nothing of that, except that its socket is closed
					wantClosed(t, served)
					if resp := c.get(t, "/", ""); resp.Close {
						t.Error("Connection: close on a plain listener")
					}
					return
				}
				// The server may notice the drain a moment later, and then says
				// so in the next response.
				for tries := 1; !c.get(t, "/", "").Close; tries++ {
					if tries == 1000 {
						t.Fatal("no Connection: close while draining")
					}
				}
				c.wantEOF(t)
				wantClosed(t, served)
			})
		}
	}
}

// wantClosed wants Serve to return because its listener is closed.
func wantClosed(t *testing.T, served <-chan error) {
	t.Helper()
	if err := <-served; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve = %v, want net.ErrClosed", err)
	}
}

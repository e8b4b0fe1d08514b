//go:build unix

package httpx_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loopback"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/recvq"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/succession"
)

// holdLimit is how long new streams are held back while open ones may end.
const holdLimit = time.Second

// limited is a server of HTTP/2 without TLS with limits of its own.
func limited(code int, conf http.HTTP2Config) *http.Server { return clear2.limited(code, conf) }

// olderHeir is a successor that knows no states of HTTP/2.
type olderHeir struct{ t *testing.T }

func (olderHeir) Takes(key string) bool { return key == "http web" }

func (h olderHeir) Move(key string, state []byte, _ syscall.Conn) error {
	h.t.Errorf("it is offered a connection by %q with a state of %d bytes", key, len(state))
	return syscall.EINVAL
}

// Where the successor cannot take the connection it stays, is served, and its client is sent away as before.
func TestHTTP2StaysIfTheSuccessorCannotTakeIt(t *testing.T) {
	tests := []struct {
		name    string
		new     *http.Server
		layered bool
	}{
		{"no HTTP/2 without TLS", &http.Server{Handler: status(202)}, false},
		{"other settings", limited(202, http.HTTP2Config{MaxConcurrentStreams: 7}), false},
		{"a smaller window", limited(202, http.HTTP2Config{MaxReceiveBufferPerConnection: 65535}), false},
		{"a wrapping listener there", unencryptedServer(status(202)), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			old := newGeneration(t, "tcp", unencryptedServer(status(201)))
			next := newLayered(t, "tcp", tt.new, func(ln net.Listener) net.Listener {
				if tt.layered {
					return struct{ net.Listener }{ln}
				}
				return ln
			})
			c := newClient2(t, old.client(t).Conn)
			c.get(t, 1, "/")
			c.wantStatus(t, 1, 201)
			old.replaceBy(t, next)
			c.wantSentAway(t, old, 3)
		})
	}
}

// wantSentAway wants the client to be sent away by g, which answers stream before.
func (c *client2) wantSentAway(t *testing.T, g *generation, stream uint32) {
	t.Helper()
	c.want(t, goAway, ping)
	c.get(t, stream, "/") // it was on its way
	c.wantStatus(t, stream, 201)
	c.ackPing(t, pingData)
	c.want(t, ping)
	c.ackPing(t, pingData)
	c.want(t, ended)
	if s := g.Stats(); s.Out != 0 {
		t.Errorf("%d connections have moved, want none", s.Out)
	}
}

func TestHTTP2IsNotOfferedToAnOlderSuccessor(t *testing.T) {
	g := newGeneration(t, "tcp", unencryptedServer(status(201)))
	c := newClient2(t, g.client(t).Conn)
	c.get(t, 1, "/")
	c.wantStatus(t, 1, 201)
	g.MoveIdle(olderHeir{t})
	g.StopAccepting()
	c.wantSentAway(t, g, 3)
}

func TestHTTP2IsRefused(t *testing.T) {
	for _, k := range bothH2 {
		t.Run(k.name, func(t *testing.T) {
			g := k.generation(t, k.server(status(201)))
			c := k.used(t, g, 201)
			g.MoveIdle(&succession.Heir{Refuse: syscall.EMFILE})
			g.StopAccepting()
			c.wantSentAway(t, g, 3)
		})
	}
}

// In a listener that wraps gozd's, bytes may be under way that nobody sees.
func TestHTTP2InALayerStays(t *testing.T) {
	g := newLayered(t, "tcp", unencryptedServer(status(201)), func(ln net.Listener) net.Listener { return struct{ net.Listener }{ln} })
	c := newClient2(t, g.client(t).Conn)
	c.get(t, 1, "/")
	c.wantStatus(t, 1, 201)
	g.replaceBy(t, newGeneration(t, "tcp", unencryptedServer(status(202))))
	c.wantSentAway(t, g, 3)
}

// What the server has pushed has numbers that would come again.
func TestHTTP2WithPushesStays(t *testing.T) {
	for _, k := range bothH2 {
		t.Run(k.name, func(t *testing.T) {
			g := k.generation(t, k.server(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if p, ok := w.(http.Pusher); ok && r.URL.Path == "/push" {
					_ = p.Push("/pushed", nil) // the client waits for it
				}
				w.WriteHeader(http.StatusCreated)
			})))
			c := newClient2(t, k.dial(t, g))
			c.get(t, 1, "/push")
			for got := ""; got != "HEADERS 2 201"; got = c.next(t) {
				if got == ended {
					t.Fatal(got)
				}
			}
			g.replaceBy(t, k.generation(t, k.server(status(202))))
			for got := ""; got != goAway; got = c.next(t) {
				if got == ended {
					t.Fatal(got)
				}
			}
			if s := g.Stats(); s.Out != 0 {
				t.Errorf("%d connections have moved, want none", s.Out)
			}
		})
	}
}

// When the generation serves again while streams are held back, they are answered, nobody is sent away, and the next drain moves the
// connection.
func TestHTTP2AfterAResume(t *testing.T) {
	for _, k := range bothH2 {
		t.Run(k.name, func(t *testing.T) {
			inHandler, wait, release := waiting(t)
			old := k.generation(t, k.server(pausing(201, inHandler, wait)))
			next := k.generation(t, k.server(status(202)))
			c := newClient2(t, k.dial(t, old))
			c.get(t, 1, "/wait")
			<-inHandler
			old.MoveIdle(&succession.Heir{Next: next.Listener})
			old.StopAccepting()
			c.ping(t)
			c.get(t, 3, "/")
			c.ping(t)
			if err := old.Resume(loopback.Listen(t, "tcp")); err != nil {
				t.Fatal(err)
			}
			c.wantStatus(t, 3, 201)
			release()
			c.wantStatus(t, 1, 201)
			c.wantNothing(t, 2*holdLimit)
			old.replaceBy(t, next)
			old.wantMoved(t, 1)
			c.get(t, 5, "/")
			c.wantStatus(t, 5, 202)
		})
	}
}

// A client that is too new to be sent away stays if the generation serves again meanwhile.
func TestNewHTTP2ConnectionStaysAfterAResume(t *testing.T) {
	for _, k := range bothH2 {
		t.Run(k.name, func(t *testing.T) {
			g := k.generation(t, k.server(status(201)))
			c := k.used(t, g, 201)
			refused := refusing(make(chan struct{}, 1))
			g.MoveIdle(refused)
			g.StopAccepting()
			<-refused
			time.Sleep(20 * time.Millisecond) // it is to be sent away, and has most of a second
			if err := g.Resume(loopback.Listen(t, "tcp")); err != nil {
				t.Fatal(err)
			}
			c.wantNothing(t, 1500*time.Millisecond)
			c.get(t, 3, "/")
			c.wantStatus(t, 3, 201)
		})
	}
}

// A connection comes back to a generation that serves again, as after a rollback.
func TestHTTP2ComesBack(t *testing.T) {
	for _, k := range bothH2 {
		t.Run(k.name, func(t *testing.T) {
			old := k.generation(t, k.server(status(201)))
			next := k.generation(t, k.server(status(202)))
			other := old.client(t)
			begun := "GET / HT"
			if k.secure {
				begun = "\x16\x03\x01" // a handshake
			}
			io.WriteString(other, begun) // it keeps the old generation
			recvq.AwaitEmpty(t, other)
			c := k.used(t, old, 201)
			old.replaceBy(t, next)
			old.wantMoved(t, 1)
			c.get(t, 3, "/")
			c.wantStatus(t, 3, 202)
			if err := old.Resume(loopback.Listen(t, "tcp")); err != nil {
				t.Fatal(err)
			}
			next.MoveIdle(&succession.Heir{Next: old.Listener})
			next.StopAccepting()
			next.wantMoved(t, 1)
			c.get(t, 5, "/")
			c.wantStatus(t, 5, 201)
		})
	}
}

// At the deadline of the drain a client whose streams go on is sent away, too.
func TestHTTP2AtTheDeadline(t *testing.T) {
	for _, k := range bothH2 {
		t.Run(k.name, func(t *testing.T) {
			inHandler, wait, release := waiting(t)
			old := k.generation(t, k.server(pausing(201, inHandler, wait)))
			next := k.generation(t, k.server(status(202)))
			c := newClient2(t, k.dial(t, old))
			c.get(t, 1, "/wait")
			<-inHandler
			old.replaceBy(t, next)
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			go old.Drain(ctx)
			c.want(t, goAway, ping)
			release() // it is idle now, and must not move any more
			c.wantStatus(t, 1, 201)
			c.ackPing(t, pingData)
			c.want(t, ping)
			c.ackPing(t, pingData)
			c.want(t, ended)
			if s := old.Stats(); s.Out != 0 {
				t.Errorf("%d connections have moved, want none", s.Out)
			}
		})
	}
}

// The program learns of a connection that has come what it learns of others, and of nothing that the client has not done.
func TestProgramSeesAMovedHTTP2Connection(t *testing.T) {
	for _, k := range bothH2 {
		t.Run(k.name, func(t *testing.T) {
			var mu sync.Mutex
			var states []http.ConnState
			var remotes []string
			srv := k.server(status(202))
			srv.ConnState = func(c net.Conn, s http.ConnState) {
				mu.Lock()
				defer mu.Unlock()
				states, remotes = append(states, s), append(remotes, c.RemoteAddr().String())
			}
			old := k.generation(t, k.server(status(201)))
			next := k.generation(t, srv)
			c := k.used(t, old, 201)
			old.replaceBy(t, next)
			old.wantMoved(t, 1)
			c.get(t, 3, "/")
			c.wantStatus(t, 3, 202)
			want := []http.ConnState{http.StateNew, http.StateActive, http.StateIdle}
			eventually(t, "idle", func() bool {
				mu.Lock()
				defer mu.Unlock()
				return len(states) >= len(want)
			})
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(states, want) || slices.ContainsFunc(remotes, func(r string) bool { return r != c.conn.LocalAddr().String() }) {
				t.Errorf("states %v of %v, want %v", states, remotes, want)
			}
		})
	}
}

// A connection that has moved, and on which nothing is asked, ends at the idle timeout as any other: with a GOAWAY.
func TestMovedHTTP2ConnectionIsIdle(t *testing.T) {
	for _, k := range bothH2 {
		t.Run(k.name, func(t *testing.T) {
			srv := k.server(status(202))
			srv.IdleTimeout = 100 * time.Millisecond
			old := k.generation(t, k.server(status(201)))
			next := k.generation(t, srv)
			c := k.used(t, old, 201)
			old.replaceBy(t, next)
			old.wantMoved(t, 1)
			c.want(t, goAway, ping)
			c.get(t, 3, "/") // it was on its way
			c.wantStatus(t, 3, 202)
		})
	}
}

// A connection on which nothing has been said since it came cannot move on, and its client is sent away.
func TestParkedHTTP2IsSentAway(t *testing.T) {
	for _, k := range bothH2 {
		t.Run(k.name, func(t *testing.T) {
			first := k.generation(t, k.server(status(201)))
			second := k.generation(t, k.server(status(202)))
			third := k.generation(t, k.limited(203, http.HTTP2Config{MaxConcurrentStreams: 7}))
			c := k.used(t, first, 201)
			first.replaceBy(t, second)
			first.wantMoved(t, 1)
			second.replaceBy(t, third)
			if f := c.next(t); f != goAway {
				t.Errorf("the client sees %q, want %q", f, goAway)
			}
		})
	}
}

//go:build unix

package httpx_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/lockedbuf"
)

// What a program sees of TLS on a connection of HTTP/2 is the same after moves, but for the *tls.Conn's own state.
func TestHTTP2OverTLSAfterAMove(t *testing.T) {
	type seen struct {
		remote, proto, name string
		version, suite      uint16
		complete            bool
	}
	const generations = 3
	var looks [generations]seen
	var states lockedbuf.Buffer
	generation := func(i int) *generation {
		return secureGeneration(t, "tcp", &http.Server{
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				looks[i] = seen{r.RemoteAddr, r.TLS.NegotiatedProtocol, r.TLS.ServerName, r.TLS.Version, r.TLS.CipherSuite, r.TLS.HandshakeComplete}
				w.WriteHeader(201 + i)
			}),
			ConnState: func(c net.Conn, s http.ConnState) {
				cs := c.(*tls.Conn).ConnectionState() // as it is without gozd
				fmt.Fprintf(&states, "%d %s %s %s %v;", i, s, cs.NegotiatedProtocol, cs.ServerName, c.RemoteAddr())
			},
		}, serverTLS)
	}
	g := generation(0)
	c := secure2.used(t, g, 201)
	want := ""
	for i := range generations {
		said := fmt.Sprintf("h2 example.com %v;", c.conn.LocalAddr())
		for _, state := range []string{"new", "active", "idle", "active", "idle"}[:5-2*min(i, 1)] { // twice where the client's preface comes
			want += fmt.Sprintf("%d %s %s", i, state, said)
		}
		eventually(t, fmt.Sprint("states ", want), func() bool { return len(states.String()) >= len(want) })
		if got := states.String(); got != want {
			t.Fatalf("states %s, want %s", got, want)
		}
		if i == generations-1 {
			break
		}
		next := generation(i + 1)
		g.replaceBy(t, next)
		g.wantMoved(t, 1)
		want += fmt.Sprintf("%d closed %s", i, said)
		eventually(t, "closed", func() bool { return states.String() == want })
		c.get(t, uint32(2*i+3), "/")
		c.wantStatus(t, uint32(2*i+3), 202+i)
		g = next
	}
	for i, l := range looks {
		if l != looks[0] || l.version != tls.VersionTLS13 || l.proto != "h2" {
			t.Errorf("generation %d sees %+v, want %+v", i, l, looks[0])
		}
	}
}

// A program's own Shutdown waits for a stream of a connection that has come, and its Close does not.
func TestProgramsEndWithMovedHTTP2(t *testing.T) {
	for _, k := range []h2Kind{clear2, secure2} {
		for _, graceful := range []bool{true, false} {
			t.Run(fmt.Sprint(k.name, graceful), func(t *testing.T) {
				inHandler, wait, release := waiting(t)
				old := k.generation(t, k.server(status(201)))
				next := k.generation(t, k.server(pausing(202, inHandler, wait)))
				c := k.used(t, old, 201)
				old.replaceBy(t, next)
				old.wantMoved(t, 1)
				c.get(t, 3, "/wait")
				<-inHandler
				var ending sync.WaitGroup
				if graceful {
					ending.Go(func() {
						if err := next.http.Shutdown(t.Context()); err != nil {
							t.Error(err)
						}
					})
					c.await(t, "GOAWAY ")
					release()
					c.await(t, "HEADERS 3 202")
				} else {
					ending.Go(func() { next.http.Close() })
				}
				c.await(t, ended)
				release()
				ending.Wait()
			})
		}
	}
}

// unsure is a successor of whom nobody knows whether it has taken the connection.
type unsure struct{}

func (unsure) Takes(string) bool                       { return true }
func (unsure) Move(string, []byte, syscall.Conn) error { return net.ErrClosed }

// Where nobody knows who has the keys, the connection ends.
func TestHTTP2OverTLSWithOneOwner(t *testing.T) {
	g := secure2.generation(t, secure2.server(status(201)))
	c := secure2.used(t, g, 201)
	g.MoveIdle(unsure{})
	g.StopAccepting()
	c.want(t, ended)
	g.wantStayed(t, map[string]uint64{"uncertain": 1})
}

// A client that has shaken hands, and not begun, moves when it has; one that never begins is not in anybody's way.
func TestHTTP2OverTLSBeforeThePreface(t *testing.T) {
	old := secure2.generation(t, secure2.server(status(201)))
	next := secure2.generation(t, secure2.server(status(202)))
	conn := secure2.dial(t, old)
	eventually(t, "accepted", func() bool { return old.Stats().Accepted == 1 })
	old.replaceBy(t, next)
	c := newClient2(t, conn)
	old.wantMoved(t, 1)
	c.get(t, 1, "/")
	c.wantStatus(t, 1, 202)

	last := secure2.generation(t, secure2.server(status(203)))
	secure2.dial(t, next)
	next.replaceBy(t, last)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if r := next.Drain(ctx); r.Cut != 1 {
		t.Errorf("Drain = %+v, want one cut", r)
	}
}

// await reads on until a frame that begins so.
func (c *client2) await(t *testing.T, frame string) {
	t.Helper()
	for f := range c.frames {
		if strings.HasPrefix(f, frame) {
			return
		}
	}
	t.Fatalf("no %q until the end", frame)
}

// A connection that is on its way to the server when the program's Shutdown begins is sent away, too.
func TestProgramsShutdownMeetsAnArrival(t *testing.T) {
	for _, k := range bothH2 {
		for _, moved := range []bool{false, true} {
			t.Run(fmt.Sprint(k.name, moved), func(t *testing.T) {
				arrived, goOn := make(chan struct{}), make(chan struct{})
				srv := k.server(status(202))
				srv.ConnState = func(_ net.Conn, s http.ConnState) {
					if s == http.StateNew {
						close(arrived)
						<-goOn
					}
				}
				g := k.generation(t, srv)
				at, stream := g, uint32(1)
				if moved {
					at = k.generation(t, k.server(status(202)))
				}
				c := newClient2(t, k.dial(t, at))
				if moved {
					c.get(t, stream, "/")
					c.wantStatus(t, stream, 202)
					at.replaceBy(t, g)
					at.wantMoved(t, 1)
					stream += 2
				}
				c.get(t, stream, "/")
				<-arrived
				g.http.RegisterOnShutdown(func() { close(goOn) })
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				if err := g.http.Shutdown(ctx); err != nil {
					t.Error(err)
				}
				c.await(t, "GOAWAY ")
			})
		}
	}
}

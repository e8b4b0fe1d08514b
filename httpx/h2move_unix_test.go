//go:build unix

package httpx_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
)

// h2Kind is a way to have connections of HTTP/2 that move.
type h2Kind struct {
	name, network string
	secure        bool
}

var (
	clear2  = h2Kind{"tcp", "tcp", false}
	secure2 = h2Kind{"TLS", "tcp", true}
	bothH2  = []h2Kind{clear2, secure2}
	h2Kinds = []h2Kind{clear2, {"unix", "unix", false}, secure2, {"TLS, unix", "unix", true}}
)

func (k h2Kind) server(h http.Handler) *http.Server {
	if k.secure {
		return &http.Server{Handler: h}
	}
	return unencryptedServer(h)
}

// limited is a server with limits of its own.
func (k h2Kind) limited(code int, conf http.HTTP2Config) *http.Server {
	srv := k.server(status(code))
	srv.HTTP2 = &conf
	return srv
}

func (k h2Kind) generation(t *testing.T, srv *http.Server) *generation {
	t.Helper()
	if k.secure {
		return secureGeneration(t, k.network, srv, serverTLS)
	}
	return newGeneration(t, k.network, srv)
}

// dial returns a connection on which the client may begin with its preface.
func (k h2Kind) dial(t *testing.T, g *generation) net.Conn {
	t.Helper()
	if k.secure {
		return secure(t, g.client(t).Conn, "h2")
	}
	return g.client(t).Conn
}

// used returns a client of g that has had one answer, with that status.
func (k h2Kind) used(t *testing.T, g *generation, code int) *client2 {
	t.Helper()
	c := newClient2(t, k.dial(t, g))
	c.get(t, 1, "/")
	c.wantStatus(t, 1, code)
	return c
}

// unencryptedServer serves HTTP/2 without TLS, and HTTP/1.1.
func unencryptedServer(h http.Handler) *http.Server {
	return &http.Server{Handler: h, Protocols: unencrypted(true)}
}

// h2Transport is Go's client of HTTP/2 on one connection, which counts its dials.
type h2Transport struct {
	*http.Transport
	scheme string
	dials  atomic.Int32
}

func newH2Transport(t *testing.T, k h2Kind, to net.Addr) *h2Transport {
	t.Helper()
	h := &h2Transport{scheme: "http"}
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(!k.secure)
	p.SetHTTP2(k.secure)
	h.Transport = &http.Transport{
		Protocols: p,
		// It puts a connection into its pool some time after it has used it first: requests at once that come before that would have others dialled.
		MaxConnsPerHost: 1,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			h.dials.Add(1)
			return new(net.Dialer).DialContext(ctx, to.Network(), to.String())
		},
	}
	if k.secure {
		h.scheme, h.TLSClientConfig = "https", clientTLS.Clone()
	}
	t.Cleanup(h.CloseIdleConnections)
	return h
}

// post sends body with a header that fills the tables, and returns the answer. The request cannot be sent twice.
func (h *h2Transport) post(ctx context.Context, path string, body []byte) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.scheme+"://example.com"+path, struct{ io.Reader }{bytes.NewReader(body)})
	if err != nil {
		return "", err
	}
	req.ContentLength = int64(len(body))
	req.Header.Set(fmt.Sprintf("X-Field-%d", rand.IntN(1000)), strings.Repeat("v", rand.IntN(200)))
	resp, err := h.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %s", resp.StatusCode, b)
	}
	return string(b), err
}

// fields is by(name) with an answer whose header fills the client's table.
func fields(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(fmt.Sprintf("X-Answer-%d", rand.IntN(1000)), strings.Repeat("a", rand.IntN(200)))
		by(name).ServeHTTP(w, r)
	})
}

func TestHTTP2PostsOverMoves(t *testing.T) {
	httpx.SetHoldLimit(t, 30*time.Second)
	for _, k := range h2Kinds {
		t.Run(k.name, func(t *testing.T) {
			const moves, clients, workers = 30, 4, 3
			g := k.generation(t, k.server(fields("0")))
			stop := make(chan struct{})
			var requests [clients * workers]int
			var seen [clients]sync.Map
			transports := make([]*h2Transport, clients)
			var posting sync.WaitGroup
			for i := range clients {
				c := newH2Transport(t, k, g.Addr())
				transports[i] = c
				if _, err := c.post(t.Context(), "/", []byte("first")); err != nil { // the sockets are not shared: it must be accepted
					t.Fatal(err)
				}
				for w := range workers {
					posting.Go(func() {
						for n := 0; ; n++ {
							select {
							case <-stop:
								requests[i*workers+w] = n
								return
							default:
							}
							body := bytes.Repeat([]byte{'b'}, rand.IntN(1<<rand.IntN(18)))
							got, err := c.post(t.Context(), "/", body)
							name, answer, _ := strings.Cut(got, ": ")
							if err != nil || answer != string(body) {
								t.Errorf("client %d worker %d request %d: %d bytes, %v", i, w, n, len(got), err)
								return
							}
							seen[i].Store(name, true)
						}
					})
				}
			}
			for move := range moves {
				next := k.generation(t, k.server(fields(fmt.Sprint(move+1))))
				g.replaceBy(t, next)
				if r := g.Drain(deadline(t, time.Minute)); r.Cut != 0 || r.Ended != 0 {
					t.Errorf("move %d: Drain = %+v, want all moved", move, r)
				}
				g = next
			}
			close(stop)
			posting.Wait()
			for i, c := range transports {
				if n := c.dials.Load(); n != 1 {
					t.Errorf("client %d has dialled %d times, want once", i, n)
				}
				generations := 0
				seen[i].Range(func(_, _ any) bool { generations++; return true })
				if generations < 2 {
					t.Errorf("client %d saw %d generations, want several", i, generations)
				}
			}
			t.Logf("requests: %d", requests)
		})
	}
}

// status answers with a status.
func status(code int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.WriteHeader(code)
	})
}

// wantStatus wants an answer with a status.
func (c *client2) wantStatus(t *testing.T, stream uint32, code int) {
	t.Helper()
	c.want(t, fmt.Sprintf("HEADERS %d %d", stream, code))
}

// chain is generations of HTTP/2 that answer with 201, 202, ...
type chain struct {
	*generation
	kind h2Kind
	n    int
}

func newChain(t *testing.T, k h2Kind) *chain {
	t.Helper()
	return &chain{k.generation(t, k.server(status(201))), k, 201}
}

// dial returns a client of HTTP/2.
func (c *chain) dial(t *testing.T) *client2 {
	t.Helper()
	return newClient2(t, c.kind.dial(t, c.generation))
}

// next has the next generation take over, and waits until n connections have moved.
func (c *chain) next(t *testing.T, n uint64) {
	t.Helper()
	c.n++
	next := c.kind.generation(t, c.kind.server(status(c.n)))
	c.replaceBy(t, next)
	c.wantMoved(t, n)
	c.generation = next
}

func TestHTTP2MovesFromGenerationToGeneration(t *testing.T) {
	for _, k := range h2Kinds {
		g := newChain(t, k)
		c := g.dial(t)
		stream := uint32(1)
		for range 5 {
			for range 3 {
				c.get(t, stream, "/")
				c.wantStatus(t, stream, g.n)
				stream += 2
			}
			g.next(t, 1)
			g.next(t, 1) // and nothing was said in between
		}
		c.get(t, stream, "/")
		c.wantStatus(t, stream, g.n)
	}
}

func TestUnusedHTTP2ConnectionMoves(t *testing.T) {
	for _, k := range bothH2 {
		t.Run(k.name, func(t *testing.T) {
			g := newChain(t, k)
			c := g.dial(t) // it has said its preface and its settings
			eventually(t, "accepted", func() bool { return g.Stats().Accepted == 1 })
			g.next(t, 1)
			c.get(t, 1, "/")
			c.wantStatus(t, 1, g.n)
		})
	}
}

// Where no stream is open, what takes long is this process, and the connection moves also when it is late.
func TestIdleHTTP2ConnectionMovesLate(t *testing.T) {
	httpx.SetHoldLimit(t, 1)
	for _, k := range bothH2 {
		t.Run(k.name, func(t *testing.T) {
			g := newChain(t, k)
			c := g.dial(t)
			c.get(t, 1, "/")
			c.wantStatus(t, 1, g.n)
			c.ping(t)
			g.next(t, 1)
			c.get(t, 3, "/")
			c.wantStatus(t, 3, g.n)
		})
	}
}

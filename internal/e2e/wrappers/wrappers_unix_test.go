//go:build unix

package wrappers

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"
	"github.com/soheilhy/cmux"
	"golang.org/x/net/netutil"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loopback"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/succession"
)

const limit = 8

func limited(_ *testing.T, ln net.Listener) net.Listener { return netutil.LimitListener(ln, limit) }

func proxied(_ *testing.T, ln net.Listener) net.Listener { return &proxyproto.Listener{Listener: ln} }

func multiplexed(t *testing.T, ln net.Listener) net.Listener {
	t.Helper()
	m := cmux.New(ln)
	web := m.Match(cmux.HTTP1Fast())
	go func() { _ = m.Serve() }() // until ln is closed
	t.Cleanup(m.Close)
	return web
}

func secured(t *testing.T, ln net.Listener) net.Listener {
	t.Helper()
	dir := t.TempDir()
	if err := daemon.WriteKeyPair(dir); err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	return tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{pair}})
}

// generation serves its name through a wrapper.
type generation struct {
	*listener.Listener
	succession *succession.Generation
}

func newGeneration(t *testing.T, name string, wrap func(*testing.T, net.Listener) net.Listener) *generation {
	t.Helper()
	serving, release := make(chan struct{}), make(chan struct{})
	ln := listener.New(loopback.Listen(t, "tcp"), listener.Options{
		Group: "web", HandoverKey: "http web", Release: release, OnAccept: func() { close(serving) },
		OnHidden: func(kind string) { t.Errorf("no connection is found in a %s", kind) },
	})
	srv := &httpx.Server{Server: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s", name, r.URL.Path)
	})}}
	g := &generation{ln, succession.New(t, ln)}
	served := make(chan struct{})
	over := wrap(t, ln)
	go func() {
		defer close(served)
		_ = srv.Serve(over)
	}()
	t.Cleanup(func() {
		close(release)
		srv.Close()
		ln.Close()
		<-served
	})
	<-serving
	return g
}

// client is one of HTTP/1.1 that never tries again.
type client struct {
	net.Conn
	br *bufio.Reader
}

func dial(t *testing.T, to net.Addr, secure bool, header string) *client {
	t.Helper()
	c, err := net.Dial("tcp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	_, _ = io.WriteString(c, header)
	if secure {
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true}) // what is under test is the wrapper
	}
	return &client{c, bufio.NewReader(c)}
}

func (c *client) get(path string) (body string, last bool, err error) {
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
	resp, err := http.ReadResponse(c.br, nil)
	if err != nil {
		return "", false, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), resp.Close, err
}

var wrappers = []struct {
	name   string
	wrap   func(*testing.T, net.Listener) net.Listener
	moves  bool
	secure bool
	header string
}{
	{name: "netutil.LimitListener", wrap: limited, moves: true},
	{name: "proxyproto without a header", wrap: proxied, moves: true},
	{name: "proxyproto with a header", wrap: proxied, header: "PROXY TCP4 192.0.2.1 192.0.2.2 1000 80\r\n"},
	{name: "cmux", wrap: multiplexed, moves: true},
	{name: "tls.NewListener", wrap: secured, secure: true},
	{name: "a limit around proxyproto", moves: true, wrap: func(t *testing.T, ln net.Listener) net.Listener { return limited(t, proxied(t, ln)) }},
}

// TestReplacement has clients ask without a pause, each on one connection as long as it lasts, while the generation is replaced: none is cut. Connections move
// where the wrapper knows nothing of them; else their clients are told to go.
func TestReplacement(t *testing.T) {
	for _, tt := range wrappers {
		t.Run(tt.name, func(t *testing.T) {
			const clients = 5
			old, next := newGeneration(t, "old", tt.wrap), newGeneration(t, "new", tt.wrap)
			var asked, moved atomic.Int64
			var done sync.WaitGroup
			for i := range clients {
				c := dial(t, old.Addr(), tt.secure, tt.header)
				done.Go(func() {
					for n := 0; ; n++ {
						path := fmt.Sprintf("/%d/%d", i, n)
						body, last, err := c.get(path)
						switch {
						case err != nil || body != "old "+path && body != "new "+path:
							t.Errorf("client %d, request %d: %q, %v", i, n, body, err)
							return
						case body == "new "+path:
							moved.Add(1)
							return
						case last:
							return
						}
						asked.Add(1)
					}
				})
			}
			for asked.Load() < 20*clients && !t.Failed() {
				time.Sleep(time.Millisecond)
			}
			old.succession.ReplaceBy(t, next.succession)
			done.Wait()
			want := int64(0)
			if tt.moves {
				want = clients
			}
			if got := moved.Load(); got != want {
				t.Errorf("%d clients were served by the new generation on their connections, want %d", got, want)
			}
			if r := old.Drain(t.Context()); r.Cut != 0 {
				t.Errorf("Drain = %+v, want none cut", r)
			}
		})
	}
}

// TestLimitCountsWhatMoves has as many connections as are allowed move away, and as many again connect when the generation serves again: a
// connection that has moved is not one of its any more.
func TestLimitCountsWhatMoves(t *testing.T) {
	old, next := newGeneration(t, "old", limited), newGeneration(t, "new", limited)
	fill := func(to net.Addr) {
		for range limit {
			c := dial(t, to, false, "")
			if body, _, err := c.get("/"); body != "old /" || err != nil {
				t.Fatal(body, err)
			}
		}
	}
	fill(old.Addr())
	old.succession.ReplaceBy(t, next.succession)
	old.Drain(t.Context())
	if s := old.Stats(); s.Out != limit {
		t.Fatalf("%d connections moved, want %d", s.Out, limit)
	}
	again := loopback.Listen(t, "tcp")
	if err := old.Resume(again); err != nil {
		t.Fatal(err)
	}
	fill(again.Addr())
}

//go:build unix

package httpx_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loopback"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/succession"
)

// generation is a gozd listener on a socket with an httpx.Server on it, that takes
// connections from the one before.
type generation struct {
	secure *listener.TLSListener // nil without TLS
	hidden <-chan string         // the type of a layer that hides connections
	*listener.Listener
	http       *httpx.Server
	succession *succession.Generation
}

// newGeneration serves srv with handler on network, and sees to its end.
func newGeneration(t *testing.T, network string, srv *http.Server) *generation {
	t.Helper()
	return newLayered(t, network, srv, func(ln net.Listener) net.Listener { return ln })
}

// newLayered is a generation that serves through a layer around its listener.
func newLayered(t *testing.T, network string, srv *http.Server, layer func(net.Listener) net.Listener) *generation {
	t.Helper()
	return newResuming(t, network, &httpx.Server{Server: srv}, layer)
}

// newResuming is newLayered for those who set more.
func newResuming(t *testing.T, network string, srv *httpx.Server, layer func(net.Listener) net.Listener) *generation {
	t.Helper()
	serving, hidden := make(chan struct{}), make(chan string, 1) // it is called once
	g := &generation{
		Listener: listener.New(loopback.Listen(t, network), listener.Options{
			Group: "web", HandoverKey: "http web", OnAccept: func() { close(serving) }, OnHidden: func(kind string) { hidden <- kind },
		}),
		http:   srv,
		hidden: hidden,
	}
	g.start(t, layer(g.Listener))
	<-serving // only then does a generation say that it is ready
	return g
}

// start serves on ln.
func (g *generation) start(t *testing.T, ln net.Listener) {
	t.Helper()
	g.succession = succession.New(t, g.Listener)
	g.serve(t, ln)
}

func (g *generation) serve(t *testing.T, ln net.Listener) {
	t.Helper()
	served := make(chan error, 1)
	go func() { served <- g.http.Serve(ln) }()
	t.Cleanup(func() {
		g.http.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			t.Errorf("Serve = %v, want that it is closed", err)
		}
	})
}

// replaceBy begins the drain of g, whose idle connections move to next.
func (g *generation) replaceBy(t *testing.T, next *generation) {
	t.Helper()
	g.succession.ReplaceBy(t, next.succession)
}

// exchangeLimit is how long a client waits for an answer.
const exchangeLimit = 30 * time.Second

// client dials g, and fails instead of waiting for ever.
func (g *generation) client(t *testing.T) *client1 {
	t.Helper()
	c, err := net.Dial(g.Addr().Network(), g.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(exchangeLimit))
	return newClient1(c)
}

// wantMoved waits until n connections have left g for its successor.
func (g *generation) wantMoved(t *testing.T, n uint64) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d connections moved", n), func() bool { return g.Stats().Out == n })
}

// wantNotMoved wants no connection to move, when it has been woken: nothing says that it will not, so it looks for a moment.
func (g *generation) wantNotMoved(t *testing.T, how string) {
	t.Helper()
	for range 100 {
		if g.Stats().Out != 0 {
			t.Fatal("it moved " + how)
		}
		time.Sleep(100 * time.Microsecond)
	}
}

var eventually = require.Eventually

// by answers with the generation's name and the request's body.
func by(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Fprintf(w, "%s: %s", name, body)
	})
}

// post sends a request and returns the body of its answer, which must not close
// the connection.
func (c *client1) post(body string) (string, error) {
	if err := c.SetDeadline(time.Now().Add(exchangeLimit)); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body); err != nil {
		return "", err
	}
	return c.answer()
}

func (c *client1) answer() (string, error) {
	resp, err := http.ReadResponse(c.br, nil)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return "", err
	case resp.StatusCode != http.StatusOK:
		return "", fmt.Errorf("status %d: %s", resp.StatusCode, b)
	case resp.Close:
		return "", errors.New("the answer says Connection: close")
	}
	return string(b), nil
}

// wantBy wants the answer to body to come from the generation of that name.
func (c *client1) wantBy(t *testing.T, name, body string) {
	t.Helper()
	got, err := c.answer()
	if want := name + ": " + body; got != want || err != nil {
		t.Fatalf("answer %q, %v, want %q", got, err, want)
	}
}

// twoGenerations returns an old and a new one.
func twoGenerations(t *testing.T, network string, oldServer *http.Server) (old, next *generation) {
	t.Helper()
	return newGeneration(t, network, oldServer), newGeneration(t, network, &http.Server{Handler: by("new")})
}

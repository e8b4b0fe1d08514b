//go:build unix

package fcgix_test

import (
	"errors"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/fcgix"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loopback"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/succession"
)

// writingLater is a layer that writes a moment after it was given something.
type writingLater struct {
	net.Conn

	mu      sync.Mutex // guards what follows
	pending []byte
}

func (c *writingLater) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.pending) == 0 {
		time.AfterFunc(50*time.Millisecond, c.flush)
	}
	c.pending = append(c.pending, b...)
	return len(b), nil
}

func (c *writingLater) flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _ = c.Conn.Write(c.pending)
	c.pending = nil
}

// layers puts a layer over each connection.
type layers struct{ net.Listener }

func (l layers) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &writingLater{Conn: c}, nil
}

// underLayers is newGeneration with layers over its connections.
func underLayers(t *testing.T, h http.HandlerFunc) *generation {
	t.Helper()
	ln := listener.New(loopback.Listen(t, "tcp"), listener.Options{HandoverKey: "fcgi web"})
	s := &server{Listener: ln, dial: func() (net.Conn, error) { return net.Dial("tcp", ln.Addr().String()) }}
	served := make(chan error, 1)
	go func() { served <- fcgix.Serve(layers{ln}, h) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-served; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Serve = %v, want net.ErrClosed", err)
		}
	})
	return &generation{s, succession.New(t, ln)}
}

// The layer holds the answer that was under way when the drain began: the connection moves when it has left.
func TestLayerThatWritesLater(t *testing.T) {
	begun, release := make(chan struct{}), make(chan struct{})
	old := underLayers(t, func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		<-release
		as("old")(w, r)
	})
	next := underLayers(t, as("new"))
	c := old.client(t)
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	c.send(request(1, true, "/", []byte("body")))
	<-begun
	old.replaceBy(t, next)
	close(release)
	c.want(t, 1, "old: body")
	old.wantMoved(t, 1)
	c.send(request(2, true, "/", []byte("body")))
	c.want(t, 2, "new: body")
}

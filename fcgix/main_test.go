package fcgix_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/fcgix"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loopback"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/memnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is a gozd listener with Serve on it.
type server struct {
	*listener.Listener
	dial   func() (net.Conn, error)
	served chan error
}

// onSocket serves h on a socket, and sees to its end.
func onSocket(t *testing.T, network string, h http.HandlerFunc) *server {
	t.Helper()
	ln := listener.New(loopback.Listen(t, network), listener.Options{HandoverKey: "fcgi web"})
	s := &server{
		Listener: ln,
		dial: func() (net.Conn, error) {
			c, err := net.Dial(network, ln.Addr().String())
			if err != nil {
				return nil, err
			}
			return c, c.SetDeadline(time.Now().Add(30 * time.Second))
		},
	}
	s.start(t, h)
	return s
}

// inMemory is onSocket for a bubble of testing/synctest.
func inMemory(t *testing.T, h http.HandlerFunc) *server {
	t.Helper()
	mem := memnet.Listen()
	s := &server{Listener: listener.New(mem, listener.Options{}), dial: mem.Dial}
	s.start(t, h)
	return s
}

func (s *server) start(t *testing.T, h http.HandlerFunc) {
	t.Helper()
	s.served = make(chan error, 1)
	go func() { s.served <- fcgix.Serve(s.Listener, h) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-s.served; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Serve = %v, want net.ErrClosed", err)
		}
	})
}

// client is a web server's end of a FastCGI connection.
type client struct {
	net.Conn
	answers *load.FCGIReader
}

func (s *server) client(t *testing.T) *client {
	t.Helper()
	c, err := s.dial()
	if err != nil {
		t.Fatal(err)
	}
	return newClient(t, c)
}

func newClient(t *testing.T, c net.Conn) *client {
	t.Helper()
	t.Cleanup(func() { c.Close() })
	return &client{c, load.NewFCGIReader(bufio.NewReader(c))}
}

// request returns a POST of body to path.
func request(id uint16, keep bool, path string, body []byte) []byte {
	return load.FCGIRequest{ID: id, KeepConn: keep, Stdin: body, Params: map[string]string{
		"SERVER_PROTOCOL": "HTTP/1.1",
		"REQUEST_METHOD":  http.MethodPost,
		"REQUEST_URI":     path,
		"HTTP_HOST":       "memory",
		"CONTENT_LENGTH":  strconv.Itoa(len(body)),
	}}.Append(nil)
}

// send writes in the background: a server may begin to answer before it has
// read all.
func (c *client) send(wire []byte) { go c.Write(wire) }

// want reads the answer to a request.
func (c *client) want(t *testing.T, id uint16, body string) {
	t.Helper()
	r, err := c.answers.Response(id)
	if err != nil {
		t.Fatalf("answer %d: %v", id, err)
	}
	if r.Status != http.StatusOK || string(r.Body) != body {
		t.Fatalf("answer %d: status %d, %d bytes %.20q, want 200, %d bytes %.20q", id, r.Status, len(r.Body), r.Body, len(body), body)
	}
}

// wantEOF wants the end of the connection, and nothing before it.
func (c *client) wantEOF(t *testing.T) {
	t.Helper()
	if r, err := c.answers.Response(0); !errors.Is(err, io.EOF) {
		t.Fatalf("after the answer: %v, %v, want io.EOF", r, err)
	}
}

// echo answers with the request's body.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Write(body)
}

// expired returns a context whose deadline has passed.
func expired(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

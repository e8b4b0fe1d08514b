package httpx_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"go.uber.org/goleak"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/memnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// certificates are made once: it takes a while, and must not be in a bubble.
var serverTLS, clientTLS = certificates()

func certificates() (server, client *tls.Config) {
	srv := httptest.NewTLSServer(nil)
	srv.Close()
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	server = &tls.Config{Certificates: srv.TLS.Certificates, NextProtos: []string{"h2", "http/1.1"}}
	// The client of these tests does not look at its clock, which a bubble
	// sets to the year 2000.
	valid := func() time.Time { return srv.Certificate().NotBefore.Add(time.Hour) }
	return server, &tls.Config{RootCAs: roots, ServerName: "example.com", Time: valid}
}

// server is a gozd listener in memory with an httpx.Server on it.
type server struct {
	*listener.Listener
	http   *httpx.Server
	mem    *memnet.Listener
	served chan error
}

// newServer serves srv in memory, with TLS if secure, and sees to its end.
func newServer(t *testing.T, secure bool, srv *http.Server) *server {
	t.Helper()
	return serve(t, secure, &httpx.Server{Server: srv}, listener.Options{Group: "web"})
}

// serve is newServer for those who set more.
func serve(t *testing.T, secure bool, srv *httpx.Server, opts listener.Options) *server {
	t.Helper()
	mem := memnet.Listen()
	s := &server{
		Listener: listener.New(mem, opts),
		http:     srv,
		mem:      mem,
		served:   make(chan error, 1),
	}
	var ln net.Listener = s.Listener
	if secure {
		ln = listener.NewTLS(s.Listener, serverTLS.Clone())
	}
	go func() { s.served <- s.http.Serve(ln) }()
	t.Cleanup(func() {
		s.http.Close()
		if err := <-s.served; !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			t.Errorf("Serve = %v, want that it is closed", err)
		}
	})
	return s
}

// drain drains without a deadline, and sends the result.
func (s *server) drain(t *testing.T) <-chan listener.Result {
	t.Helper()
	drained := make(chan listener.Result, 1)
	go func() { drained <- s.Drain(t.Context()) }()
	<-s.Draining()
	return drained
}

// dial returns a connection in the clear.
func (s *server) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := s.mem.Dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// dialTLS returns a connection on which proto is agreed.
func (s *server) dialTLS(t *testing.T, proto string) *tls.Conn {
	t.Helper()
	return secure(t, s.dial(t), proto)
}

// secure makes the handshake on c.
func secure(t *testing.T, c net.Conn, proto string) *tls.Conn {
	t.Helper()
	conf := clientTLS.Clone()
	conf.NextProtos = []string{proto}
	conn := tls.Client(c, conf)
	if err := conn.HandshakeContext(context.Background()); err != nil {
		t.Fatal(err)
	}
	return conn
}

// client1 is a client of HTTP/1.1 that never retries nor reconnects.
type client1 struct {
	net.Conn
	br   *bufio.Reader
	last chan struct{} // closed when all of it has been written
}

func newClient1(c net.Conn) *client1 {
	written := make(chan struct{})
	close(written)
	return &client1{c, bufio.NewReader(c), written}
}

// get sends a request and returns its response, whose body has been read.
func (c *client1) get(t *testing.T, path, header string) *http.Response {
	t.Helper()
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: example.com\r\n%s\r\n", path, header)
	return c.response(t)
}

// write writes in the background, one after the other: the server may answer first.
func (c *client1) write(s string) {
	before, written := c.last, make(chan struct{})
	c.last = written
	go func() {
		defer close(written)
		<-before
		io.WriteString(c, s)
	}()
}

func (c *client1) response(t *testing.T) *http.Response {
	t.Helper()
	resp, err := http.ReadResponse(c.br, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp
}

func (c *client1) wantEOF(t *testing.T) {
	t.Helper()
	if b, err := c.br.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("after the response: byte %q, %v, want io.EOF", b, err)
	}
}

// deadline returns a context with a timeout.
func deadline(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// slow answers after the time that the path names ("/5s"), at once for "/".
func slow(w http.ResponseWriter, r *http.Request) {
	d, _ := time.ParseDuration(r.URL.Path[1:])
	select {
	case <-time.After(d):
		io.WriteString(w, "done")
	case <-r.Context().Done():
	}
}

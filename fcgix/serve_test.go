package fcgix_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/fcgix"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loopback"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/memnet"
)

func TestServe(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		for _, keep := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s keep_conn %v", network, keep), func(t *testing.T) {
				s := onSocket(t, network, echo)
				c := s.client(t)
				for _, size := range []int{0, 1, 200_000} {
					body := bytes.Repeat([]byte("x"), size)
					c.send(request(1, keep, "/", body))
					c.want(t, 1, string(body))
					if !keep {
						c.wantEOF(t)
						c = s.client(t)
					}
				}
			})
		}
	}
}

// TLS around the connections is nothing that a group can have, but a program.
func TestServeUnderTLS(t *testing.T) {
	srv := httptest.NewTLSServer(nil)
	srv.Close()
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	ln := listener.New(loopback.Listen(t, "tcp"), listener.Options{HandoverKey: "fcgi web"})
	served := make(chan error, 1)
	go func() {
		served <- fcgix.Serve(listener.NewTLS(ln, &tls.Config{Certificates: srv.TLS.Certificates}), http.HandlerFunc(echo))
	}()
	conn, err := tls.Dial("tcp", ln.Addr().String(), &tls.Config{RootCAs: roots, ServerName: "example.com"})
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, conn)
	c.send(request(1, true, "/", []byte("before")))
	c.want(t, 1, "before")
	ln.MoveIdle(anySuccessor{}) // which takes no TLS
	ln.StopAccepting()
	c.send(request(1, true, "/", []byte("after")))
	c.want(t, 1, "after")
	c.wantEOF(t)
	c.Close()
	if err := <-served; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve = %v, want net.ErrClosed", err)
	}
}

// anySuccessor would take every connection.
type anySuccessor struct{}

func (anySuccessor) Takes(string) bool { return true }

func (anySuccessor) Move(string, []byte, syscall.Conn) error { return errors.New("not in this test") }

func TestServeOnAPlainListener(t *testing.T) {
	ln := loopback.Listen(t, "tcp")
	served := make(chan error, 1)
	go func() { served <- fcgix.Serve(ln, http.HandlerFunc(echo)) }()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, conn)
	for _, body := range []string{"one", "two"} {
		c.send(request(1, true, "/", []byte(body)))
		c.want(t, 1, body)
	}
	ln.Close()
	if err := <-served; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve = %v, want net.ErrClosed", err)
	}
}

// Without a handler it is http.DefaultServeMux.
func TestServeNilHandler(t *testing.T) {
	defer func(mux *http.ServeMux) { http.DefaultServeMux = mux }(http.DefaultServeMux)
	http.DefaultServeMux = http.NewServeMux()
	http.HandleFunc("/default", echo)
	ln := listener.New(loopback.Listen(t, "tcp"), listener.Options{})
	served := make(chan error, 1)
	go func() { served <- fcgix.Serve(ln, nil) }()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, conn)
	c.send(request(1, false, "/default", []byte("x")))
	c.want(t, 1, "x")
	c.wantEOF(t)
	ln.Close()
	if err := <-served; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve = %v, want net.ErrClosed", err)
	}
}

// Without a listener it is standard input, which is no socket here.
func TestServeNilListener(t *testing.T) {
	if err := fcgix.Serve(nil, nil); err == nil {
		t.Error("Serve on standard input = nil, want an error")
	}
}

// net/http/fcgi returns from Serve when descriptors run out.
func TestServeOutlivesTemporaryErrors(t *testing.T) {
	emfile := &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	for _, plain := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			mem := memnet.Listen()
			var ln net.Listener = &memnet.Failing{Listener: mem, Errs: []error{emfile, emfile, emfile}}
			if !plain {
				ln = listener.New(ln, listener.Options{})
			}
			served := make(chan error, 1)
			go func() { served <- fcgix.Serve(ln, http.HandlerFunc(echo)) }()
			conn, err := mem.Dial()
			if err != nil {
				t.Fatal(err)
			}
			c := newClient(t, conn)
			c.send(request(1, false, "/", []byte("x")))
			c.want(t, 1, "x")
			c.wantEOF(t)
			ln.Close()
			if err := <-served; !errors.Is(err, net.ErrClosed) {
				t.Errorf("plain %v: Serve = %v, want net.ErrClosed", plain, err)
			}
		})
	}
}

func TestServeClosesTheListener(t *testing.T) {
	want := errors.New("broken")
	ln := &memnet.Failing{Listener: memnet.Listen(), Errs: []error{want}}
	if err := fcgix.Serve(ln, nil); err != want { //nolint:errorlint // it must not be wrapped
		t.Errorf("Serve = %v, want %v", err, want)
	}
	if _, err := ln.Dial(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Dial after Serve = %v, want net.ErrClosed", err)
	}
}

// A handler that does not read its request's body must not have its answer
// lost in a reset, which a close with something unread sends.
func TestUnreadBody(t *testing.T) {
	body := bytes.Repeat([]byte("x"), 200_000)
	answer := strings.Repeat("y", 100_000)
	for _, network := range []string{"tcp", "unix"} {
		for _, keep := range []bool{false, true} {
			for _, drain := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s keep_conn %v draining %v", network, keep, drain), func(t *testing.T) {
					s := onSocket(t, network, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, answer) })
					c := s.client(t)
					c.send(request(1, true, "/", nil))
					c.want(t, 1, answer)
					if drain {
						s.StopAccepting()
					}
					c.send(request(2, keep, "/", body))
					c.want(t, 2, answer)
					if drain || !keep {
						c.wantEOF(t)
					}
				})
			}
		}
	}
}

// A request that arrives while an answer cannot be written, because the web
// server reads the answers later, is read and served nevertheless: waiting for
// each other would be for ever.
func TestReadsWhileAnAnswerIsBlocked(t *testing.T) {
	for _, drain := range []bool{false, true} {
		began := make(chan string, 2)
		s := inMemory(t, func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			began <- r.URL.Path
			io.WriteString(w, strings.Repeat("x", 100_000))
		})
		c := s.client(t)
		if drain {
			s.StopAccepting()
		}
		c.send(request(1, true, "/first", nil))
		if _, err := c.Read(make([]byte, 1)); err != nil { // the rest of it is being written
			t.Fatal(err)
		}
		c.send(request(2, true, "/second", nil))
		for range cap(began) {
			select {
			case <-began:
			case <-time.After(30 * time.Second):
				t.Fatalf("draining %v: a request does not begin", drain)
			}
		}
		c.Close()
	}
}

func ExampleServe() {
	ln, err := net.Listen("unix", "/run/app.sock") // or gozd.Listen("app")
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(fcgix.Serve(ln, http.NotFoundHandler())) // was: fcgi.Serve(ln, ...)
}

package tcpx_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loopback"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/memnet"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/listen"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/tcpx"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echoLines answers each line with the group's name before it, until the client
// ends or the generation does.
func echoLines(c listen.Conn) {
	lines := bufio.NewScanner(c)
	for last := false; !last && lines.Scan(); {
		select {
		case <-c.Draining():
			last = true
		default:
		}
		fmt.Fprintf(c, "%s: %s\n", c.Group(), lines.Text())
	}
}

// serve runs Serve, and sends its error.
func serve(l net.Listener, handler func(listen.Conn)) <-chan error {
	served := make(chan error, 1)
	go func() { served <- tcpx.Serve(l, handler) }()
	return served
}

func mustDial(t *testing.T, dial func() (net.Conn, error)) net.Conn {
	t.Helper()
	c, err := dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// limit bounds what the test waits for on c.
func limit(t *testing.T, c net.Conn) {
	t.Helper()
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
}

// wantClosed wants Serve to return because its listener is closed.
func wantClosed(t *testing.T, served <-chan error) {
	t.Helper()
	if err := <-served; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve = %v, want net.ErrClosed", err)
	}
}

// wantEcho sends a line on c and wants it back from the group.
func wantEcho(t *testing.T, c net.Conn, group string) {
	t.Helper()
	if _, err := io.WriteString(c, "hello\n"); err != nil {
		t.Fatal(err)
	}
	want := group + ": hello\n"
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("answer %q, %v, want %q", got, err, want)
	}
}

func wantEOF(t *testing.T, c net.Conn) {
	t.Helper()
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("Read = %d, %v, want io.EOF", n, err)
	}
}

func TestServe(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		for _, plain := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s plain %v", network, plain), func(t *testing.T) {
				inner := loopback.Listen(t, network)
				ln, group := net.Listener(listener.New(inner, listener.Options{Group: "line"})), "line"
				if plain {
					ln, group = inner, ""
				}
				ended := make(chan net.Conn, 1)
				served := serve(ln, func(c listen.Conn) {
					echoLines(c)
					ended <- c
				})
				c := mustDial(t, func() (net.Conn, error) { return net.Dial(network, ln.Addr().String()) })
				limit(t, c)
				wantEcho(t, c, group)
				wantEcho(t, c, group)
				if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
					t.Error(err)
				}
				wantEOF(t, c) // the handler has returned, and Serve closes
				if _, err := (<-ended).Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
					t.Errorf("Write after the handler = %v, want net.ErrClosed", err)
				}
				if err := ln.Close(); err != nil {
					t.Error(err)
				}
				wantClosed(t, served)
			})
		}
	}
}

// A Unix socket that has no successor is still removed with its listener, as
// without gozd.
func TestPlainListenerKeepsItsHabits(t *testing.T) {
	ln := loopback.Listen(t, "unix")
	served := serve(ln, echoLines)
	c := mustDial(t, func() (net.Conn, error) { return net.Dial("unix", ln.Addr().String()) })
	limit(t, c)
	wantEcho(t, c, "") // so Serve has begun
	c.Close()
	ln.Close()
	wantClosed(t, served)
	if _, err := os.Stat(ln.Addr().String()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket's file after Close: %v, want it gone", err)
	}
}

func TestHandlersRunBesideEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memnet.Listen()
		ln := listener.New(mem, listener.Options{Group: "line"})
		served := serve(ln, echoLines)
		first, second := mustDial(t, mem.Dial), mustDial(t, mem.Dial)
		wantEcho(t, second, "line")
		wantEcho(t, first, "line")
		wantEcho(t, second, "line")
		first.Close()
		second.Close()
		ln.Close()
		wantClosed(t, served)
	})
}

func TestServeReturnsAfterTheDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memnet.Listen()
		ln := listener.New(mem, listener.Options{Group: "line"})
		served := serve(ln, echoLines)
		c := mustDial(t, mem.Dial)
		wantEcho(t, c, "line")
		drained := make(chan listener.Result, 1)
		go func() { drained <- ln.Drain(t.Context()) }()
		time.Sleep(time.Hour)
		if len(served)+len(drained) != 0 {
			t.Fatal("Serve or Drain returned while a handler was running")
		}
		wantEcho(t, c, "line") // and the handler sees Draining
		wantEOF(t, c)
		if r := <-drained; r.Ended != 1 || r.Cut != 0 {
			t.Errorf("Drain = %+v, want 1 ended", r)
		}
		wantClosed(t, served)
	})
}

func TestServeClosesTheListener(t *testing.T) {
	want := errors.New("broken")
	ln := &memnet.Failing{Listener: memnet.Listen(), Errs: []error{want}}
	if err := tcpx.Serve(ln, echoLines); err != want { //nolint:errorlint // it must not be wrapped
		t.Errorf("Serve = %v, want %v", err, want)
	}
	if _, err := ln.Dial(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Dial after Serve = %v, want net.ErrClosed", err)
	}
}

func TestServeOutlivesTemporaryErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		emfile := &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
		ln := &memnet.Failing{Listener: memnet.Listen(), Errs: []error{emfile, emfile}}
		served := serve(ln, echoLines)
		c := mustDial(t, ln.Dial)
		wantEcho(t, c, "")
		c.Close()
		ln.Close()
		wantClosed(t, served)
	})
}

// The listener of an https group: reads and writes go through TLS, the rest to
// the connection below.
func TestServeUnderTLS(t *testing.T) {
	srv := httptest.NewTLSServer(nil)
	srv.Close()
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	ln := listener.New(loopback.Listen(t, "tcp"), listener.Options{Group: "line"})
	handler := func(c listen.Conn) {
		if _, ok := c.NetConn().(*net.TCPConn); !ok {
			t.Errorf("NetConn is a %T, want *net.TCPConn", c.NetConn())
		}
		if err := c.Handover(nil); !errors.Is(err, listen.ErrNoSuccessor) {
			t.Errorf("Handover = %v, want ErrNoSuccessor", err)
		}
		echoLines(c)
		if err := c.Close(); err != nil { // TLS's own goodbye, not only TCP's
			t.Errorf("Close = %v, want nil", err)
		}
	}
	served := serve(listener.NewTLS(ln, &tls.Config{Certificates: srv.TLS.Certificates}), handler)
	dialer := &tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: "example.com"}}
	c := mustDial(t, func() (net.Conn, error) { return dialer.DialContext(t.Context(), "tcp", ln.Addr().String()) })
	limit(t, c)
	wantEcho(t, c, "line")
	ln.StopAccepting()
	wantEcho(t, c, "line")
	wantEOF(t, c)
	wantClosed(t, served)
}

func ExampleServe() {
	ln, err := net.Listen("tcp", "127.0.0.1:2133") // or gozd.Listen("line")
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(tcpx.Serve(ln, func(c listen.Conn) {
		lines := bufio.NewScanner(c)
		for lines.Scan() {
			fmt.Fprintln(c, "you said:", lines.Text())
			select {
			case <-c.Draining(): // between two messages
				return
			default:
			}
		}
	}))
}

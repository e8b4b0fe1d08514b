package httpx_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
)

// What a client is told first: open no more streams, none is refused.
const goAway, ping, pingData = "GOAWAY 2147483647 NO_ERROR", "PING gozd bye", "gozd bye"

const ended = "end"

// goAwayLinger is the moment that a client has to close the connection itself.
const goAwayLinger = time.Second

func TestGoAwayInTwoSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, true, &http.Server{Handler: http.HandlerFunc(slow)})
		c := newClient2(t, s.dialTLS(t, "h2"))
		c.get(t, 1, "/")
		c.wantAnswer(t, 1)
		drained := s.drain(t)
		c.want(t, goAway, ping)
		c.get(t, 3, "/") // it was on its way when GOAWAY was sent
		c.wantAnswer(t, 3)
		c.wantNothing(t, time.Hour) // the client has not seen the GOAWAY
		c.get(t, 5, "/")
		c.wantAnswer(t, 5)
		c.ackPing(t, pingData)
		c.wantClosed(t, goAwayLinger)
		if r := <-drained; r.Ended != 1 || r.Cut != 0 {
			t.Errorf("Drain = %+v, want 1 ended", r)
		}
	})
}

// wantClosed wants the server to be silent for d, and then to close the
// connection once it has made sure that the client has read everything.
func (c *client2) wantClosed(t *testing.T, d time.Duration) {
	t.Helper()
	start := time.Now()
	c.want(t, ping)
	if took := time.Since(start); took != d {
		t.Errorf("the server asks after %v, want %v", took, d)
	}
	c.ackPing(t, pingData)
	start = time.Now()
	c.want(t, ended)
	if took := time.Since(start); took != 0 {
		t.Errorf("the server closes after %v, want at once", took)
	}
}

// A client that has just connected may ask something first: it would only connect
// again.
func TestNewConnectionIsUsedBeforeItsGoAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, true, &http.Server{Handler: http.HandlerFunc(slow)})
		raw := s.dial(t)
		synctest.Wait()
		s.drain(t)
		start := time.Now()
		c := newClient2(t, secure(t, raw, "h2"))
		c.get(t, 1, "/500ms")
		c.wantAnswer(t, 1)
		c.want(t, goAway, ping)
		if after := time.Since(start); after != time.Second {
			t.Errorf("GOAWAY after %v, want 1s", after)
		}
		c.ackPing(t, pingData)
		c.wantClosed(t, goAwayLinger)
	})
}

// Its timer ends with it.
func TestNewConnectionEndsBeforeItsGoAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, true, &http.Server{Handler: http.HandlerFunc(slow)})
		c := newClient2(t, s.dialTLS(t, "h2"))
		drained := s.drain(t)
		c.conn.Close()
		if r := <-drained; r.Ended != 1 || r.Took != 0 {
			t.Errorf("Drain = %+v, want 1 ended at once", r)
		}
	})
}

func TestGoAwayWhileAStreamIsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, true, &http.Server{Handler: http.HandlerFunc(slow)})
		c := newClient2(t, s.dialTLS(t, "h2"))
		c.get(t, 1, "/2h")
		synctest.Wait()
		s.drain(t)
		c.want(t, goAway, ping)
		c.ackPing(t, pingData)
		c.wantNothing(t, time.Hour)
		c.wantAnswer(t, 1)
		c.wantClosed(t, goAwayLinger)
	})
}

// A client may write a request after the answer to the PING, although it began
// it before the GOAWAY: net/http numbers a stream first, and then waits for its
// turn to write.
func TestStreamBehindTheAnswerToThePing(t *testing.T) {
	for _, late := range []time.Duration{0, 500 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(t, true, &http.Server{Handler: http.HandlerFunc(slow)})
			c := newClient2(t, s.dialTLS(t, "h2"))
			s.drain(t)
			c.want(t, goAway, ping)
			c.ackPing(t, pingData)
			time.Sleep(late)
			c.get(t, 1, "/1h")
			c.wantAnswer(t, 1)
			c.wantClosed(t, goAwayLinger)
		})
	}
}

// The same with both in one read of the server.
func TestStreamTogetherWithTheAnswerToThePing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, true, &http.Server{Handler: http.HandlerFunc(slow)})
		conn := s.dialTLS(t, "h2")
		c := newClient2(t, conn)
		s.drain(t)
		c.want(t, goAway, ping)
		c.do(t, func() error {
			var both strings.Builder
			fr := http2.NewFramer(&both, nil)
			if err := errors.Join(fr.WriteHeaders(c.headers(1, "/1h")), fr.WritePing(true, [8]byte([]byte(pingData)))); err != nil {
				return err
			}
			_, err := io.WriteString(conn, both.String())
			return err
		})
		c.wantAnswer(t, 1)
		c.wantClosed(t, goAwayLinger)
	})
}

// A client that reads slowly, such as one at the end of a thin line, has not
// read its answer just because the server has written it.
func TestSlowReaderGetsItsAnswer(t *testing.T) {
	t.Parallel()
	idle := make(chan struct{}, 10)
	s := newServer(t, true, &http.Server{
		Handler: http.HandlerFunc(slow),
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateIdle {
				idle <- struct{}{}
			}
		},
	})
	stalled := newStalledConn(s.dial(t))
	c := newClient2(t, secure(t, stalled, "h2"))
	c.get(t, 1, "/")
	c.wantAnswer(t, 1)
	<-idle // after the preface
	<-idle
	s.drain(t)
	c.want(t, goAway, ping)
	c.ackPing(t, pingData)
	open := stalled.stall()
	c.get(t, 3, "/")
	<-stalled.stalls // in the midst of the answer
	<-idle           // and so the server has written it
	time.Sleep(goAwayLinger + 200*time.Millisecond)
	open()
	c.wantAnswer(t, 3)
	c.want(t, ping)
	c.ackPing(t, pingData)
	c.want(t, ended)
}

// Nothing may come between HEADERS and CONTINUATION (RFC 9113, section 6.10):
// the client would end the connection.
func TestGoAwayDuringAHeaderBlock(t *testing.T) {
	s := newServer(t, true, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Long", strings.Repeat("x", len(r.URL.Path)/2*100_000))
		io.WriteString(w, "done")
	})})
	stalled := newStalledConn(s.dial(t))
	c, other := newClient2(t, secure(t, stalled, "h2")), newClient2(t, s.dialTLS(t, "h2"))
	for _, c := range []*client2{c, other} {
		c.get(t, 1, "/")
		c.wantAnswer(t, 1)
	}
	open := stalled.stall()
	c.get(t, 3, "/long")
	<-stalled.stalls // in the midst of the first frame of the answer
	s.drain(t)
	other.want(t, goAway, ping) // so the first connection is about to be told
	open()
	got := []string{c.next(t), c.next(t), c.next(t), c.next(t)}
	slices.Sort(got) // the GOAWAY may come before or after the DATA
	if want := []string{"END 3", goAway, "HEADERS 3 200", ping}; !slices.Equal(got, want) {
		t.Errorf("the server says %q, want %q", got, want)
	}
}

// stalledConn reads while its gate is open.
type stalledConn struct {
	net.Conn
	gate   atomic.Value  // chan struct{}, closed when the gate is open
	stalls chan struct{} // receives when a Read finds it shut
}

func newStalledConn(c net.Conn) *stalledConn {
	s := &stalledConn{Conn: c, stalls: make(chan struct{})}
	s.stall()()
	return s
}

// stall shuts the gate. A Read that waits for data already is not stopped.
func (c *stalledConn) stall() (open func()) {
	gate := make(chan struct{})
	c.gate.Store(gate)
	return func() { close(gate) }
}

func (c *stalledConn) Read(b []byte) (int, error) {
	gate := c.gate.Load().(chan struct{})
	select {
	case <-gate:
	default:
		c.stalls <- struct{}{}
		<-gate
	}
	return c.Conn.Read(b)
}

// A connection whose handshake ends after the drain has begun.
func TestConnectionBegunWhileDraining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, true, &http.Server{Handler: http.HandlerFunc(slow)})
		conn := s.dial(t)
		s.drain(t)
		time.Sleep(time.Second)
		c := newClient2(t, secure(t, conn, "h2"))
		c.want(t, goAway, ping)
		c.get(t, 1, "/")
		c.wantAnswer(t, 1)
		c.ackPing(t, pingData)
		c.wantClosed(t, goAwayLinger)
	})
}

// A client that never answers the PING is closed a second after the deadline, and the rest
// of the drain does not wait for it.
func TestClientThatIgnoresThePing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, true, &http.Server{Handler: http.HandlerFunc(slow)})
		deaf, polite := newClient2(t, s.dialTLS(t, "h2")), newClient2(t, s.dialTLS(t, "h2"))
		drained := make(chan listener.Result, 1)
		go func() { drained <- s.Drain(deadline(t, time.Minute)) }()
		polite.want(t, goAway, ping)
		polite.ackPing(t, pingData)
		polite.wantClosed(t, time.Second)
		deaf.want(t, goAway, ping)
		if r := <-drained; r.Ended != 1 || r.Cut != 1 || r.Took != time.Minute+time.Second {
			t.Errorf("Drain = %+v, want 1 ended, 1 cut a second after a minute", r)
		}
	})
}

// The server's own PING, and answers to PINGs that nobody sent, are not ours.
func TestOtherPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, true, &http.Server{Handler: http.HandlerFunc(slow)})
		c := newClient2(t, s.dialTLS(t, "h2"))
		c.ackPing(t, pingData) // before any was sent
		synctest.Wait()
		s.drain(t)
		c.want(t, goAway, ping)
		c.ackPing(t, "12345678")
		c.do(t, func() error { return c.fr.WritePing(false, [8]byte([]byte(pingData))) })
		c.want(t, ping) // the server's answer to that
		c.wantNothing(t, time.Hour)
	})
}

// On a socket the end is TLS's own, too.
func TestGoAwayOnASocket(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln := listener.New(inner, listener.Options{})
	served := make(chan error, 1)
	go func() { served <- httpx.Serve(listener.NewTLS(ln, serverTLS), http.HandlerFunc(slow)) }()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := newClient2(t, secure(t, conn, "h2"))
	c.get(t, 1, "/")
	c.wantAnswer(t, 1)
	ln.StopAccepting()
	c.want(t, goAway, ping)
	c.get(t, 3, "/")
	c.wantAnswer(t, 3)
	c.ackPing(t, pingData)
	c.want(t, ping)
	c.ackPing(t, pingData)
	c.want(t, ended)
	if err := <-served; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve = %v, want net.ErrClosed", err)
	}
}

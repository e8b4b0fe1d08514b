//go:build unix

package listener_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/recvq"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/succession"
)

// secureGeneration is generation with TLS, and what a client needs for it.
func secureGeneration(t *testing.T, network string, server *tls.Config) *listener.TLSListener {
	t.Helper()
	ln := listener.New(raw(t, network), listener.Options{Group: "web", SilentKey: "https web"})
	t.Cleanup(func() {
		ln.Close()
		ln.Drain(expired())
	})
	return listener.NewTLS(ln, server)
}

// wantEcho makes the handshake on both sides, and wants what the client says to come back.
func wantEcho(t *testing.T, server, client net.Conn, conf *tls.Config) {
	t.Helper()
	go func() {
		io.Copy(server, server)
		server.Close()
	}()
	secure := tls.Client(client, conf)
	secure.SetDeadline(time.Now().Add(30 * time.Second))
	send(t, secure, "hello")
	wantText(t, secure, "hello")
}

// A connection of TLS moves until its client says something, to the next generation and on to another one.
func TestSilentTLSMoves(t *testing.T) {
	serverTLS, clientTLS := certificates(t)
	for _, network := range []string{"tcp", "unix"} {
		for _, accept := range []bool{true, false} { // whether the second generation's program accepts
			line := []*listener.TLSListener{secureGeneration(t, network, serverTLS), secureGeneration(t, network, serverTLS), secureGeneration(t, network, serverTLS)}
			server, client := pair(t, line[0], to(line[0]))
			handshake := make(chan error, 1)
			go func() { handshake <- server.(*tls.Conn).HandshakeContext(t.Context()) }()
			if accept {
				accepted(line[1])
			}
			line[0].MoveIdle(&succession.Heir{Next: line[1].Listener})
			if r := line[0].Drain(t.Context()); r.Moved != 1 {
				t.Fatalf("%s: Drain = %+v, want 1 moved", network, r)
			}
			if err := within(t, handshake, "Handshake"); !errors.Is(err, io.EOF) {
				t.Errorf("%s: Handshake on what has moved = %v, want io.EOF", network, err)
			}
			line[1].MoveIdle(&succession.Heir{Next: line[2].Listener})
			if r := line[1].Drain(t.Context()); r.Moved != 1 {
				t.Fatalf("%s: Drain of the second = %+v, want 1 moved", network, r)
			}
			conns := accepted(line[2])
			go func() {
				if c, ok := <-conns; ok {
					io.Copy(c, c)
					c.Close()
				}
			}()
			secure := tls.Client(client, clientTLS)
			secure.SetDeadline(time.Now().Add(30 * time.Second))
			send(t, secure, "hello")
			wantText(t, secure, "hello")
			secure.Close()
		}
	}
}

// One that has said something stays, however little it was, and is served.
func TestTLSStaysOnceTheClientHasSpoken(t *testing.T) {
	serverTLS, clientTLS := certificates(t)
	old, next := secureGeneration(t, "tcp", serverTLS), secureGeneration(t, "tcp", serverTLS)
	server, client := pair(t, old, to(old))
	half := &halting{Conn: client, first: make(chan struct{}), rest: make(chan struct{})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		wantEcho(t, server, half, clientTLS)
	}()
	<-half.first
	recvq.AwaitEmpty(t, client)
	old.MoveIdle(&succession.Heir{Next: next.Listener})
	drained := make(chan listener.Result, 1)
	go func() { drained <- old.Drain(t.Context()) }()
	<-old.Draining()
	close(half.rest)
	within(t, done, "the echo")
	client.Close()
	if r := within(t, drained, "Drain"); r.Moved != 0 || r.Ended != 1 {
		t.Errorf("Drain = %+v, want 1 ended", r)
	}
}

// halting sends the first byte, and the others when it is told to.
type halting struct {
	net.Conn
	first, rest chan struct{}
	begun       bool
}

func (h *halting) Write(b []byte) (int, error) {
	if h.begun {
		return h.Conn.Write(b)
	}
	h.begun = true
	if _, err := h.Conn.Write(b[:1]); err != nil {
		return 0, err
	}
	close(h.first)
	<-h.rest
	n, err := h.Conn.Write(b[1:])
	return n + 1, err
}

// Programs cannot hand over a connection whose keys would stay behind.
func TestTLSIsNotHandedOverByPrograms(t *testing.T) {
	serverTLS, _ := certificates(t)
	old, next := secureGeneration(t, "tcp", serverTLS), secureGeneration(t, "tcp", serverTLS)
	server, _ := pair(t, old, to(old))
	old.MoveIdle(&succession.Heir{Next: next.Listener})
	conn, _ := listener.FromConn(server)
	if err := conn.Handover(nil); !errors.Is(err, listener.ErrNoSuccessor) {
		t.Errorf("Handover = %v, want ErrNoSuccessor", err)
	}
	if old.Moves() {
		t.Error("idle connections move")
	}
}

// At a stop nothing ends that would not have ended before: only an adapter knows what a program does with its connections.
func TestSilentTLSAtAStop(t *testing.T) {
	serverTLS, clientTLS := certificates(t)
	ln := secureGeneration(t, "tcp", serverTLS)
	server, client := pair(t, ln, to(ln))
	ln.CloseIdle()
	drained := make(chan listener.Result, 1)
	go func() { drained <- ln.Drain(t.Context()) }()
	<-ln.Draining()
	wantEcho(t, server, client, clientTLS)
	client.Close()
	if r := within(t, drained, "Drain"); r.Ended != 1 {
		t.Errorf("Drain = %+v, want 1 ended", r)
	}
}

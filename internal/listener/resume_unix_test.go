//go:build unix

package listener_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
)

// kept is a listening socket with a descriptor that stays, as that of an upgrade does.
type kept struct{ f *os.File }

func keep(t *testing.T, ln net.Listener) *kept {
	t.Helper()
	f, err := ln.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return &kept{f}
}

// open returns one more listener on the socket.
func (k *kept) open(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.FileListener(k.f)
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestResume(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"tcp", "unix"} {
		inner := raw(t, network)
		socket := keep(t, inner)
		ln := listener.New(inner, listener.Options{Release: make(chan struct{})})
		old, _ := pair(t, ln, to(ln))
		draining, resumed := ln.Rounds()
		drained := make(chan listener.Result, 1)
		accepts := accepted(ln)
		go func() { drained <- ln.Drain(t.Context()) }()
		within(t, draining, "the drain begins")
		client, err := to(ln)() // it waits in the queue
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if isClosed(resumed) {
			t.Fatalf("%s: resumed before Resume", network)
		}
		if err := ln.Resume(socket.open(t)); err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		within(t, resumed, "it has resumed")
		if r := within(t, drained, "Drain"); r.Cut != 0 || r.Ended != 0 {
			t.Errorf("%s: the drain was %+v, want nothing ended", network, r)
		}
		c := within(t, accepts, "Accept").(listener.Conn)
		defer c.Close()
		if isClosed(c.Draining()) || isClosed(ln.Draining()) || !isClosed(old.(listener.Conn).Draining()) {
			t.Errorf("%s: draining: new %v, listener %v, old %v; want only the old connection to be told", network,
				isClosed(c.Draining()), isClosed(ln.Draining()), isClosed(old.(listener.Conn).Draining()))
		}
		if r := ln.AwaitDrained(t.Context()); r != (listener.Result{}) {
			t.Errorf("%s: AwaitDrained = %+v for a listener that accepts", network, r)
		}
		if err := ln.Resume(socket.open(t)); !errors.Is(err, listener.ErrNotDraining) {
			t.Errorf("%s: Resume of a listener that accepts = %v", network, err)
		}
		if r := ln.Drain(expired()); r.Cut != 2 {
			t.Errorf("%s: the second drain was %+v, want 2 cut", network, r)
		}
	}
}

func TestResumeIsTooLate(t *testing.T) {
	t.Parallel()
	inner := raw(t, "tcp")
	socket := keep(t, inner)
	ln := listener.New(inner, listener.Options{})
	ln.EmptyQueue()
	ln.StopAccepting()
	late := socket.open(t)
	if err := ln.Resume(late); !errors.Is(err, listener.ErrNotDraining) {
		t.Errorf("Resume while the queue is emptied = %v", err)
	}
	if _, err := late.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept of a listener that was refused = %v, want net.ErrClosed", err)
	}
	ln.Close()
	if err := ln.Resume(socket.open(t)); !errors.Is(err, listener.ErrNotDraining) {
		t.Errorf("Resume of a listener that the program has closed = %v", err)
	}
}

// Connections are accepted before and after, and none is lost in between.
func TestResumeUnderLoad(t *testing.T) {
	t.Parallel()
	inner := raw(t, "tcp")
	socket := keep(t, inner)
	ln := listener.New(inner, listener.Options{Release: make(chan struct{})})
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, "hello")
			c.Close()
		}
	}()
	ctx, stop := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for ctx.Err() == nil {
				c, err := net.Dial("tcp", ln.Addr().String())
				if err != nil {
					t.Errorf("dial: %v", err)
					return
				}
				c.SetDeadline(time.Now().Add(30 * time.Second))
				if text, err := io.ReadAll(c); err != nil || string(text) != "hello" {
					t.Errorf("a client reads %q, %v", text, err)
				}
				c.Close()
			}
		})
	}
	for range 200 {
		ln.StopAccepting()
		if err := ln.Resume(socket.open(t)); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	clients.Wait()
}

// taker is a successor that takes everything, as long as it lives.
type taker struct{ moved chan []byte }

func (taker) Takes(string) bool { return true }

func (s taker) Move(_ string, state []byte, _ syscall.Conn) error {
	if s.moved == nil {
		return errors.New("it is dead")
	}
	s.moved <- state
	return nil
}

// What was idle when the first successor died moves to the second.
func TestIdleConnectionsMoveAfterResume(t *testing.T) {
	t.Parallel()
	inner := raw(t, "tcp")
	socket := keep(t, inner)
	ln := listener.New(inner, listener.Options{HandoverKey: "tcp web"})
	defer ln.Close()
	c, client := pair(t, ln, to(ln))
	var r listener.IdleReader
	r.Init(c.(listener.Conn), func(int) bool { return true })
	read := make(chan error, 8)
	go func() {
		for b := make([]byte, 4); ; {
			_, err := io.ReadFull(&r, b)
			read <- err
			if err != nil {
				return
			}
		}
	}()
	ln.MoveIdle(taker{})
	ln.StopAccepting()
	if ln.Resume(socket.open(t)) != nil || ln.Moves() {
		t.Fatal("the listener has not resumed")
	}
	send(t, client, "ping")
	if err := within(t, read, "what the client sends"); err != nil {
		t.Fatalf("the connection reads %v after the listener has resumed", err)
	}
	next := taker{moved: make(chan []byte, 1)}
	ln.MoveIdle(next)
	ln.StopAccepting()
	within(t, next.moved, "the connection moves")
	if err := within(t, read, "the end of the connection here"); !errors.Is(err, io.EOF) {
		t.Errorf("the connection that has moved reads %v, want io.EOF", err)
	}
}

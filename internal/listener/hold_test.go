package listener_test

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
)

// TestHold has a client connect to a listener that is held: it is accepted after
// resume.
func TestHold(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		ln := listener.New(raw(t, network), listener.Options{})
		resume := ln.Hold()
		ln.Hold() // again, by somebody else
		accepted := accept(ln)
		c, err := to(ln)()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		select {
		case err := <-accepted:
			t.Errorf("%s: accepted while held: %v", network, err)
		case <-time.After(20 * time.Millisecond):
		}
		resume()
		if err := within(t, accepted, "Accept"); err != nil {
			t.Errorf("%s: %v", network, err)
		}
		resume() // again
		accepted = accept(ln)
		c2, err := to(ln)()
		if err != nil {
			t.Fatal(err)
		}
		defer c2.Close()
		if err := within(t, accepted, "Accept"); err != nil {
			t.Errorf("%s: the next: %v", network, err)
		}
		ln.Close()
	}
}

// TestHoldMeetsAccept holds and resumes a listener from which somebody accepts all
// the time: nobody is lost.
func TestHoldMeetsAccept(t *testing.T) {
	ln := listener.New(raw(t, "tcp"), listener.Options{})
	served := make(chan error, 1)
	go func() { served <- echoAll(ln) }()
	for range 200 {
		resume := ln.Hold()
		c, err := to(ln)()
		if err != nil {
			t.Fatal(err)
		}
		resume()
		_ = c.SetDeadline(time.Now().Add(30 * time.Second))
		_, _ = c.Write([]byte("x"))
		if answer, err := io.ReadAll(c); string(answer) != "x" {
			t.Errorf("answer %q, %v", answer, err)
		}
		c.Close()
	}
	ln.Close()
	if err := within(t, served, "Serve"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept = %v, want net.ErrClosed", err)
	}
}

func TestHeldListenerEnds(t *testing.T) {
	for _, end := range []func(ln *listener.Listener){
		func(ln *listener.Listener) { ln.Close() },
		func(ln *listener.Listener) { ln.StopAccepting() },
	} {
		ln := listener.New(raw(t, "tcp"), listener.Options{})
		accepted := accept(ln)
		resume := ln.Hold()
		end(ln)
		if err := within(t, accepted, "Accept"); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept = %v, want net.ErrClosed", err)
		}
		resume()
		ln.Close()
	}
}

func TestHoldInMemory(t *testing.T) {
	ln, mem := inMemory(listener.Options{})
	resume := ln.Hold()
	accepted := accept(ln)
	c, err := mem.Dial()
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if err := within(t, accepted, "Accept"); err != nil {
		t.Errorf("%v", err)
	}
	resume()
	ln.Close()
}

// Connections of older generations wait, too: they would take the descriptors for which the listener is held.
func TestHoldMeetsArrivals(t *testing.T) {
	ln := listener.New(raw(t, "tcp"), listener.Options{Group: "web", HandoverKey: "http web"})
	defer ln.Close()
	inner := raw(t, "tcp")
	server, _ := pair(t, inner, to(inner))
	resume := ln.Hold()
	reserved := make(chan error, 1)
	go func() {
		answered, err := ln.Arrivals().Reserve("http web", server, nil)
		if err == nil {
			answered(nil)
		}
		reserved <- err
	}()
	select {
	case err := <-reserved:
		t.Errorf("reserved while held: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	resume()
	if err := within(t, reserved, "Reserve"); err != nil {
		t.Error(err)
	}
}

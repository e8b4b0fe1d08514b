package listener_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
)

// TestEmptyQueue has clients connect that nobody accepts until the listener drains:
// each is answered, and then nobody can connect.
func TestEmptyQueue(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			const clients = 50
			ln := listener.New(raw(t, network), listener.Options{})
			var waiting []net.Conn
			for i := range clients {
				c, err := to(ln)()
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				fmt.Fprintf(c, "%d\n", i)
				waiting = append(waiting, c)
			}
			ln.EmptyQueue()
			ln.StopAccepting()
			served := make(chan error, 1)
			go func() { served <- echoAll(ln) }()
			for i, c := range waiting {
				_ = c.SetDeadline(time.Now().Add(30 * time.Second))
				line, err := io.ReadAll(c)
				if want := fmt.Sprintf("%d\n", i); string(line) != want || err != nil {
					t.Errorf("client %d reads %q, %v, want %q", i, line, err, want)
				}
			}
			if err := within(t, served, "Serve"); !errors.Is(err, net.ErrClosed) {
				t.Errorf("Accept = %v, want net.ErrClosed", err)
			}
			if r := ln.Drain(t.Context()); r.Cut != 0 {
				t.Errorf("Drain = %+v, want none cut", r)
			}
			if c, err := to(ln)(); err == nil {
				c.Close()
				t.Error("a client connects after the drain")
			}
		})
	}
}

// echoAll sends back the first line of every connection.
func echoAll(ln net.Listener) error {
	for {
		c, err := ln.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			b := make([]byte, 100)
			n, _ := c.Read(b)
			_, _ = c.Write(b[:n])
		}()
	}
}

// The drain must not wait for a program that does not accept.
func TestEmptyQueueThatNobodyEmpties(t *testing.T) {
	ln := listener.New(raw(t, "tcp"), listener.Options{})
	c, err := to(ln)()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ln.EmptyQueue()
	drained := make(chan listener.Result, 1)
	go func() { drained <- ln.Drain(t.Context()) }()
	within(t, drained, "Drain")
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the client reads %v, want that the connection has ended", err)
	}
}

// The program's own Close ends it too.
func TestCloseWhileTheQueueIsBeingEmptied(t *testing.T) {
	ln := listener.New(raw(t, "tcp"), listener.Options{})
	ln.EmptyQueue()
	ln.StopAccepting()
	if err := ln.Close(); err != nil {
		t.Error(err)
	}
	if err := within(t, accept(ln), "Accept"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept = %v, want net.ErrClosed", err)
	}
	if r := ln.Drain(t.Context()); r.Took > time.Second/2 {
		t.Errorf("Drain takes %v after Close", r.Took)
	}
}

// TestEveryConnectionIsServedUpToTheEnd has clients connect without a pause while the
// listener drains: who gets through is answered.
func TestEveryConnectionIsServedUpToTheEnd(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux can refuse new clients and keep the queue")
	}
	for i := range 9 {
		var inner net.Listener
		switch i % 3 {
		case 0:
			inner = raw(t, "tcp") // Multipath TCP, where the kernel has it
		case 1:
			inner = singlePath(t)
		case 2:
			inner = raw(t, "unix") // with its name to the end, as an abstract one has it
		}
		gate := make(chan struct{})
		close(gate)
		ln := listener.New(inner, listener.Options{Gate: gate})
		served := make(chan error, 1)
		go func() { served <- echoAll(ln) }()
		results := make(chan error)
		for range 4 {
			go func() { results <- connectUntilRefused(inner.Addr()) }()
		}
		ln.EmptyQueue()
		if r := ln.Drain(t.Context()); r.Cut != 0 {
			t.Errorf("Drain = %+v, want none cut", r)
		}
		for range 4 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		if err := within(t, served, "Serve"); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept = %v, want net.ErrClosed", err)
		}
	}
}

// singlePath listens without Multipath TCP.
func singlePath(t *testing.T) net.Listener {
	t.Helper()
	var config net.ListenConfig
	config.SetMultipathTCP(false)
	ln, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// connectUntilRefused returns an error for a connection that was made and not
// answered.
func connectUntilRefused(to net.Addr) error {
	for {
		c, err := net.DialTimeout(to.Network(), to.String(), 100*time.Millisecond)
		if err != nil {
			return nil //nolint:nilerr // that is what it waits for
		}
		_ = c.SetDeadline(time.Now().Add(30 * time.Second))
		_, _ = c.Write([]byte("x"))
		answer, err := io.ReadAll(c)
		_ = c.Close()
		if string(answer) != "x" {
			return fmt.Errorf("a client that had connected reads %q, %w", answer, err)
		}
	}
}

func TestEmptyQueueInMemory(t *testing.T) {
	ln, _ := inMemory(listener.Options{})
	ln.EmptyQueue() // it has no queue
	ln.Drain(t.Context())
	if err := within(t, accept(ln), "Accept"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept = %v, want net.ErrClosed", err)
	}
}

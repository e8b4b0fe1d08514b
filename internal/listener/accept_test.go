package listener_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
)

func TestGateHoldsAccept(t *testing.T) {
	tests := []struct {
		name string
		open func(gate chan struct{}, ln *listener.Listener)
		want error // of Accept
	}{
		{"until it opens", func(gate chan struct{}, _ *listener.Listener) { close(gate) }, nil},
		{"until Close", func(_ chan struct{}, ln *listener.Listener) { ln.Close() }, net.ErrClosed},
		{"until the drain", func(_ chan struct{}, ln *listener.Listener) { ln.StopAccepting() }, net.ErrClosed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gate := make(chan struct{})
				ln, mem := inMemory(listener.Options{Gate: gate})
				defer ln.Close()
				go func() {
					if c, err := mem.Dial(); err == nil {
						c.Close()
					}
				}()
				accepted := accept(ln)
				time.Sleep(time.Hour)
				if len(accepted) != 0 {
					t.Fatalf("Accept = %v before the gate opened", <-accepted)
				}
				tt.open(gate, ln)
				if err := <-accepted; !errors.Is(err, tt.want) {
					t.Errorf("Accept = %v, want %v", err, tt.want)
				}
			})
		})
	}
}

func TestOnAcceptIsCalledOnceBeforeTheGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		calls := 0
		ln, _ := inMemory(listener.Options{Gate: gate, OnAccept: func() { calls++ }})
		if calls != 0 {
			t.Error("OnAccept was called before Accept")
		}
		first, second := accept(ln), accept(ln)
		synctest.Wait()
		if calls != 1 {
			t.Errorf("OnAccept was called %d times before the gate opened, want once", calls)
		}
		close(gate)
		synctest.Wait()
		ln.Close()
		for _, accepted := range []<-chan error{first, second, accept(ln)} {
			if err := <-accepted; !errors.Is(err, net.ErrClosed) {
				t.Errorf("Accept = %v, want net.ErrClosed", err)
			}
		}
		if calls != 1 {
			t.Errorf("OnAccept was called %d times, want once", calls)
		}
	})
}

func TestAcceptReturnsWhenTheLastConnectionIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln, mem := inMemory(listener.Options{})
		first, _ := pair(t, ln, mem.Dial)
		second, _ := pair(t, ln, mem.Dial)
		waiting := accept(ln)
		ln.StopAccepting()
		ln.StopAccepting() // does nothing
		late := accept(ln)
		for _, c := range []net.Conn{first, second} {
			time.Sleep(time.Hour)
			if len(waiting)+len(late) != 0 {
				t.Fatal("Accept returned while a connection was open")
			}
			c.Close()
		}
		for _, accepted := range []<-chan error{waiting, late, accept(ln)} {
			if err := <-accepted; !errors.Is(err, net.ErrClosed) {
				t.Errorf("Accept = %v, want net.ErrClosed", err)
			}
		}
	})
}

// A program that ends when its Serve returns must not cut the connections of
// its other listeners.
func TestAcceptReturnsAtRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		ln, mem := inMemory(listener.Options{Release: release})
		server, _ := pair(t, ln, mem.Dial)
		accepted := accept(ln)
		server.Close()
		if r := ln.Drain(t.Context()); r.Cut != 0 {
			t.Errorf("Drain = %+v, want nothing cut", r)
		}
		time.Sleep(time.Hour)
		if len(accepted) != 0 {
			t.Fatal("Accept returned before Release")
		}
		close(release)
		if err := <-accepted; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept = %v, want net.ErrClosed", err)
		}
	})
}

func TestCloseReleasesAccept(t *testing.T) {
	for _, draining := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			ln, mem := inMemory(listener.Options{Release: make(chan struct{})})
			server, _ := pair(t, ln, mem.Dial)
			accepted := accept(ln)
			if draining {
				ln.StopAccepting()
			}
			synctest.Wait()
			if err := ln.Close(); err != nil {
				t.Errorf("draining %v: Close = %v, want nil", draining, err)
			}
			if err := <-accepted; !errors.Is(err, net.ErrClosed) {
				t.Errorf("draining %v: Accept = %v, want net.ErrClosed", draining, err)
			}
			if err := ln.Close(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("draining %v: second Close = %v, want net.ErrClosed", draining, err)
			}
			select {
			case <-ln.Draining():
				if !draining {
					t.Error("Close has closed Draining")
				}
			default:
			}
			if got := ln.Stats().Open; got != 1 {
				t.Errorf("draining %v: %d connections open after Close, want 1", draining, got)
			}
			server.Close()
		})
	}
}

func TestDrainAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln, mem := inMemory(listener.Options{})
		server, _ := pair(t, ln, mem.Dial)
		ln.Close()
		go func() {
			time.Sleep(time.Minute)
			server.Close()
		}()
		if got, want := ln.Drain(t.Context()), (listener.Result{Ended: 1, Took: time.Minute}); got != want {
			t.Errorf("Drain = %+v, want %+v", got, want)
		}
	})
}

// lateListener accepts a connection although it has been closed: the kernel had
// it ready.
type lateListener struct {
	net.Listener
	conns chan net.Conn
}

func (l *lateListener) Accept() (net.Conn, error) { return <-l.conns, nil }

func TestLateAcceptIsTracked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, mem := inMemory(listener.Options{})
		inner := &lateListener{mem, make(chan net.Conn)}
		ln := listener.New(inner, listener.Options{})
		accepted := make(chan net.Conn)
		go func() {
			c, _ := ln.Accept()
			accepted <- c
		}()
		synctest.Wait()
		drained := make(chan listener.Result, 1)
		go func() { drained <- ln.Drain(t.Context()) }()
		time.Sleep(time.Minute)
		if len(drained) != 0 {
			t.Fatal("Drain returned with a connection between the kernel and Accept")
		}
		server, client := net.Pipe()
		inner.conns <- server
		c := <-accepted
		if c == nil {
			t.Fatal("Accept lost the connection")
		}
		time.Sleep(time.Minute)
		if len(drained) != 0 {
			t.Fatal("Drain returned before the late connection was closed")
		}
		c.Close()
		client.Close()
		if got, want := <-drained, (listener.Result{Ended: 1, Took: 2 * time.Minute}); got != want {
			t.Errorf("Drain = %+v, want %+v", got, want)
		}
	})
}

// slowHandler answers after d.
func slowHandler(d time.Duration) http.Handler {
	return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(d) })
}

// get sends a request on a new connection of mem, and returns its response
// later.
func get(t *testing.T, dial func() (net.Conn, error)) <-chan string {
	t.Helper()
	status := make(chan string, 1)
	tr := &http.Transport{
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return dial() },
		DisableKeepAlives: true,
	}
	go func() {
		resp, err := tr.RoundTrip(mustRequest("http://memory/"))
		if err != nil {
			status <- err.Error()
			return
		}
		resp.Body.Close()
		status <- resp.Status
	}()
	return status
}

func mustRequest(url string) *http.Request {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		panic(err)
	}
	return req
}

// log.Fatal(http.Serve(ln, h)) in main must not end what is in flight.
func TestPlainServeOutlivesDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln, mem := inMemory(listener.Options{})
		served := make(chan error, 1)
		go func() { served <- http.Serve(ln, slowHandler(5*time.Second)) }()
		status := get(t, mem.Dial)
		synctest.Wait()
		go ln.Drain(t.Context())
		synctest.Wait()
		if len(served) != 0 {
			t.Fatal("Serve returned while a request was running")
		}
		if got := <-status; got != "200 OK" {
			t.Errorf("status %q, want 200 OK", got)
		}
		if err := <-served; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Serve = %v, want net.ErrClosed", err)
		}
	})
}

// Shutdown waits for Serve to leave Accept, and Accept is held by the drain.
func TestShutdownOfADrainingListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln, mem := inMemory(listener.Options{Release: make(chan struct{})})
		srv := &http.Server{Handler: slowHandler(5 * time.Second)}
		served := make(chan error, 1)
		go func() { served <- srv.Serve(ln) }()
		status := get(t, mem.Dial)
		synctest.Wait()
		ln.StopAccepting()
		if err := srv.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown = %v, want nil", err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve = %v, want http.ErrServerClosed", err)
		}
		if got := <-status; got != "200 OK" {
			t.Errorf("status %q, want 200 OK", got)
		}
	})
}

func TestListenerIsItsSocket(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		inner := raw(t, network)
		ln := listener.New(inner, listener.Options{})
		if _, err := ln.SyscallConn(); err != nil {
			t.Errorf("%s: SyscallConn = %v, want nil", network, err)
		}
		ln.Close()
		if !reflect.DeepEqual(ln.Addr(), inner.Addr()) {
			t.Errorf("%s: Addr = %v, want %v", network, ln.Addr(), inner.Addr())
		}
	}
	ln, _ := inMemory(listener.Options{})
	if _, err := ln.SyscallConn(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("in memory: SyscallConn = %v, want errors.ErrUnsupported", err)
	}
}

// The successor may be listening on it.
func TestSocketFileStays(t *testing.T) {
	ln := listener.New(raw(t, "unix"), listener.Options{})
	ln.Drain(t.Context())
	if _, err := os.Stat(ln.Addr().String()); err != nil {
		t.Errorf("the socket's file is gone: %v", err)
	}
}

// Nothing that clients, drains and the program do at the same time is a race, or
// loses count.
func TestAllAtOnce(t *testing.T) {
	for range 20 {
		ln := listener.New(raw(t, "tcp"), listener.Options{})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		accepted := make(chan struct{}, 40)
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() { acceptAll(ln, accepted) })
			all.Go(func() { dialOften(to(ln), 10) })
			all.Go(func() {
				select { // in the midst of it
				case <-accepted:
				case <-ln.Draining():
				}
				ln.Drain(ctx)
			})
		}
		all.Go(func() {
			<-ln.Draining()
			ln.Close()
		})
		all.Wait()
		cancel()
		if got := ln.Stats(); got.Open != 0 || uint64(got.Cut) > got.Accepted || got.Accepted == 0 {
			t.Errorf("Stats = %+v, want none open", got)
		}
	}
}

// acceptAll closes every other connection as net/http does, twice, and leaves
// the rest open until the drain cuts it.
func acceptAll(ln net.Listener, accepted chan<- struct{}) {
	var open sync.WaitGroup
	defer open.Wait()
	for n := 0; ; n++ {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		accepted <- struct{}{}
		open.Go(func() {
			if n%2 == 0 {
				io.Copy(io.Discard, c)
			}
			c.Close()
			c.Close()
		})
	}
}

// dialOften dials n times. Its connections are open until it is done.
func dialOften(dial func() (net.Conn, error), n int) {
	if n == 0 {
		return
	}
	c, err := dial()
	if err != nil {
		return
	}
	defer c.Close()
	dialOften(dial, n-1)
}

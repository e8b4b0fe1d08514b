//go:build unix

package listener_test

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/succession"
)

// reading is the outcome of a Read.
type reading struct {
	text string
	err  error
}

// read reads in the background.
func read(r io.Reader) <-chan reading {
	done := make(chan reading, 1)
	go func() {
		b := make([]byte, 100)
		n, err := r.Read(b)
		done <- reading{string(b[:n]), err}
	}()
	return done
}

// idleReader returns a reader of a connection of ln that is idle while idle is
// true, and its client.
func idleReader(t *testing.T, ln *listener.Listener, dial func() (net.Conn, error), idle *atomic.Bool) (*listener.IdleReader, net.Conn) {
	t.Helper()
	server, client := pair(t, ln, dial)
	r := new(listener.IdleReader)
	r.Init(server.(listener.Conn), func(int) bool { return idle.Load() })
	return r, client
}

func TestIdleReadMovesWhenTheDrainBegins(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		for range 20 { // before, while and after Read begins
			old, next := generation(t, network), generation(t, network)
			var idle atomic.Bool
			idle.Store(true)
			r, client := idleReader(t, old, to(old), &idle)
			old.MoveIdle(&succession.Heir{Next: next})
			done := read(r)
			old.StopAccepting()
			if got := within(t, done, "Read"); !errors.Is(got.err, io.EOF) {
				t.Fatalf("%s: Read = %q, %v, want io.EOF", network, got.text, got.err)
			}
			if got := old.Stats(); got.Out != 1 || got.Open != 0 {
				t.Errorf("%s: Stats = %+v, want 1 out", network, got)
			}
			send(t, client, "x")
			c := within(t, accepted(next), "Accept of the next")
			wantText(t, c, "x")
			c.Close()
			next.Close()
		}
	}
}

// A connection that is busy is read on, and moves when it is idle and woken.
func TestBusyReadGoesOn(t *testing.T) {
	old, next := generation(t, "tcp"), generation(t, "tcp")
	var idle atomic.Bool
	r, client := idleReader(t, old, to(old), &idle)
	old.MoveIdle(&succession.Heir{Next: next})
	done := read(r)
	old.StopAccepting()
	for range 100 {
		r.Wake()
	}
	send(t, client, "body")
	if got := within(t, done, "Read"); got.text != "body" || got.err != nil {
		t.Fatalf("Read = %q, %v, want what was sent", got.text, got.err)
	}
	done = read(r)
	idle.Store(true)
	r.Wake()
	if got := within(t, done, "Read"); !errors.Is(got.err, io.EOF) {
		t.Errorf("Read = %q, %v, want io.EOF", got.text, got.err)
	}
}

// The program's deadline is kept to the moment, however often the reader is woken.
func TestWakeKeepsTheDeadline(t *testing.T) {
	for _, set := range []string{"SetReadDeadline", "SetDeadline"} {
		synctest.Test(t, func(t *testing.T) {
			ln, mem := inMemory(listener.Options{})
			var idle atomic.Bool
			r, _ := idleReader(t, ln, mem.Dial, &idle)
			ln.StopAccepting()
			start := time.Now()
			deadline := r.SetReadDeadline
			if set == "SetDeadline" {
				deadline = r.SetDeadline
			}
			if err := deadline(start.Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			done := read(r)
			for range 50 {
				time.Sleep(time.Second)
				r.Wake()
				synctest.Wait()
			}
			got := <-done
			if !errors.Is(got.err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: Read = %q, %v, want that the deadline is exceeded", set, got.text, got.err)
			}
			if took := time.Since(start); took != time.Minute {
				t.Errorf("%s: Read returned after %v, want a minute", set, took)
			}
		})
	}
}

// A deadline that is set while the reader is woken counts, earlier or later.
func TestDeadlineSetWhileWoken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln, mem := inMemory(listener.Options{})
		var idle atomic.Bool
		r, client := idleReader(t, ln, mem.Dial, &idle)
		r.Wake()
		r.SetReadDeadline(time.Now().Add(time.Hour))
		r.Wake()
		r.SetReadDeadline(time.Now().Add(time.Minute))
		start := time.Now()
		if got := <-read(r); !errors.Is(got.err, os.ErrDeadlineExceeded) || time.Since(start) != time.Minute {
			t.Errorf("Read = %v after %v, want the deadline after a minute", got.err, time.Since(start))
		}
		r.Wake()
		r.SetDeadline(time.Time{})
		done := read(r)
		time.Sleep(time.Hour)
		client.Write([]byte("x"))
		if got := <-done; got.text != "x" || got.err != nil {
			t.Errorf("Read = %q, %v, want x", got.text, got.err)
		}
	})
}

// A program stops its own Read with a deadline in the past, also while the reader
// is woken.
func TestProgramsPastDeadlineIsReported(t *testing.T) {
	for _, wake := range []string{"never", "before", "after"} {
		synctest.Test(t, func(t *testing.T) {
			ln, mem := inMemory(listener.Options{})
			var idle atomic.Bool
			r, client := idleReader(t, ln, mem.Dial, &idle)
			ln.StopAccepting()
			done := read(r)
			synctest.Wait()
			if wake == "before" {
				r.Wake()
			}
			r.SetReadDeadline(time.Unix(1, 0))
			if wake == "after" {
				r.Wake()
			}
			if got := <-done; !errors.Is(got.err, os.ErrDeadlineExceeded) {
				t.Errorf("woken %s: Read = %q, %v, want that the deadline is exceeded", wake, got.text, got.err)
			}
			r.SetReadDeadline(time.Time{})
			done = read(r)
			client.Write([]byte("x"))
			if got := <-done; got.text != "x" || got.err != nil {
				t.Errorf("woken %s: Read after it = %q, %v, want x", wake, got.text, got.err)
			}
		})
	}
}

// meddling is a socket on which something happens between the end of a Read that
// was interrupted and its return.
type meddling struct {
	net.Conn
	between func()
}

func (m *meddling) Read(b []byte) (int, error) {
	n, err := m.Conn.Read(b)
	if errors.Is(err, os.ErrDeadlineExceeded) && m.between != nil {
		between := m.between
		m.between = nil
		between()
	}
	return n, err
}

// memConn is a connection over any net.Conn.
type memConn struct {
	net.Conn
	draining chan struct{}
}

func (memConn) Group() string               { return "" }
func (c memConn) Draining() <-chan struct{} { return c.draining }
func (memConn) Handover([]byte) error       { return listener.ErrNoSuccessor }
func (memConn) State() []byte               { return nil }
func (c memConn) NetConn() net.Conn         { return c.Conn }

// A handler extends its deadline at the very moment at which the reader is woken:
// net/http's background read must not see a timeout then.
func TestDeadlineSetWhenTheReaderHasJustWoken(t *testing.T) {
	for _, set := range []string{"SetReadDeadline", "SetDeadline"} {
		synctest.Test(t, func(t *testing.T) {
			server, client := net.Pipe()
			defer client.Close()
			defer server.Close()
			sock := &meddling{Conn: server}
			r := new(listener.IdleReader)
			r.Init(memConn{sock, make(chan struct{})}, func(int) bool { return false })
			sock.between = func() {
				if set == "SetDeadline" {
					r.SetDeadline(time.Now().Add(time.Minute))
				} else {
					r.SetReadDeadline(time.Now().Add(time.Minute))
				}
			}
			start := time.Now()
			done := read(r)
			synctest.Wait()
			r.Wake()
			got := <-done
			if took := time.Since(start); !errors.Is(got.err, os.ErrDeadlineExceeded) || took != time.Minute {
				t.Errorf("%s: Read = %v after %v, want the deadline after a minute", set, got.err, took)
			}
		})
	}
}

// The same on real sockets, in real time.
func TestWakeOnSockets(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		ln := generation(t, network)
		var idle atomic.Bool
		r, _ := idleReader(t, ln, to(ln), &idle)
		ln.StopAccepting()
		const timeout = 300 * time.Millisecond
		start := time.Now()
		r.SetReadDeadline(start.Add(timeout))
		done := read(r)
		for range 100 {
			r.Wake()
		}
		got := within(t, done, "Read")
		if took := time.Since(start); !errors.Is(got.err, os.ErrDeadlineExceeded) || took < timeout || took > timeout+5*time.Second {
			t.Errorf("%s: Read = %v after %v, want the deadline after %v", network, got.err, took, timeout)
		}
		r.Wake() // on a connection that nobody reads, and on one that is closed
		ln.Drain(expired())
		r.Wake()
		if got := within(t, read(r), "Read"); got.err == nil || errors.Is(got.err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: Read after the end = %v, want that it is closed", network, got.err)
		}
	}
}

// Wakes, deadlines and reads from all sides are no race, and never surface.
func TestWakeAllAtOnce(t *testing.T) {
	ln := generation(t, "tcp")
	var idle atomic.Bool
	r, client := idleReader(t, ln, to(ln), &idle)
	ln.StopAccepting()
	stop := make(chan struct{})
	for _, f := range []func(){r.Wake, r.Wake, func() { r.SetReadDeadline(time.Now().Add(time.Hour)) }} {
		go func() {
			for {
				select {
				case <-stop:
					return
				default:
					f()
				}
			}
		}()
	}
	go func() {
		for range 2000 {
			io.WriteString(client, "x")
		}
		client.Close()
	}()
	n, err := io.Copy(io.Discard, struct{ io.Reader }{r})
	close(stop)
	if n != 2000 || err != nil {
		t.Errorf("%d bytes were read, %v, want 2000", n, err)
	}
}

// Who reads next has the connection for itself: no Wake reaches it.
func TestRetire(t *testing.T) {
	ln := generation(t, "tcp")
	server, client := pair(t, ln, to(ln))
	conn := server.(listener.Conn)
	r := new(listener.IdleReader)
	r.Init(conn, func(int) bool { return false })
	r.Wake()
	r.Retire()
	ln.StopAccepting()
	r.Wake()
	done := read(conn.NetConn())
	send(t, client, "x")
	if got := within(t, done, "Read"); got.text != "x" || got.err != nil {
		t.Errorf("Read = %q, %v, want x", got.text, got.err)
	}
}

// While older generations may still hand over connections, a listener without any has not drained, and passes on what comes.
func TestExpectedConnectionMovesOn(t *testing.T) {
	old, next := generation(t, "tcp"), generation(t, "tcp")
	old.MoveIdle(&succession.Heir{Next: next})
	over := old.Expect()
	accepted(old)
	drained := make(chan listener.Result, 1)
	go func() { drained <- old.Drain(t.Context()) }()
	within(t, old.Draining(), "the drain begins")
	client := adopt(t, old, "tcp", nil)
	eventually(t, "it moves on", func() bool { return next.Stats().In == 1 })
	select {
	case r := <-drained:
		t.Fatalf("Drain = %+v, before it is over", r)
	default:
	}
	over()
	over()
	if got := within(t, drained, "Drain"); got.Moved != 1 {
		t.Errorf("Drain = %+v, want 1 moved", got)
	}
	send(t, client, "x")
	wantText(t, within(t, accepted(next), "Accept of the next"), "x")
	if err := take(old, client, nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after that the listener takes a connection: %v, want net.ErrClosed", err)
	}
}

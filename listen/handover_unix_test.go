//go:build unix

package listen_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/listen"
)

// heir is a successor in this process: what is moved to it, next adopts.
type heir struct {
	next   *listen.Listener
	takes  bool
	refuse error
}

func (h *heir) Takes(string) bool { return h.takes }

func (h *heir) Move(_ string, state []byte, s syscall.Conn) error {
	if h.refuse != nil {
		return h.refuse
	}
	c, err := duplicate(s)
	if err != nil {
		return err
	}
	if err := h.next.Adopt(c, state); err != nil {
		c.Close()
		return err
	}
	return nil
}

// duplicate returns another connection for a socket, as a successor has it.
func duplicate(s syscall.Conn) (net.Conn, error) {
	raw, err := s.SyscallConn()
	if err != nil {
		return nil, err
	}
	var f *os.File
	var dupErr error
	err = raw.Control(func(fd uintptr) {
		syscall.ForkLock.RLock()
		defer syscall.ForkLock.RUnlock()
		var dup int
		if dup, dupErr = syscall.Dup(int(fd)); dupErr == nil {
			syscall.CloseOnExec(dup)
			f = os.NewFile(uintptr(dup), "")
		}
	})
	if err = errors.Join(err, dupErr); err != nil {
		return nil, err
	}
	defer f.Close()
	return net.FileConn(f)
}

// generation is a Listener on a socket, closed at the end of the test.
func generation(t *testing.T, network string) *listen.Listener {
	t.Helper()
	ln := listen.New(raw(t, network), listen.Options{Group: "web"})
	t.Cleanup(func() {
		ln.Close()
		ln.Drain(expired())
	})
	return ln
}

// adopt has ln adopt a new connection, and returns its client.
func adopt(t *testing.T, ln *listen.Listener, network string, state []byte) (client net.Conn) {
	t.Helper()
	inner := raw(t, network)
	server, client := pair(t, inner, to(inner))
	client.SetDeadline(time.Now().Add(30 * time.Second))
	own, err := duplicate(server.(syscall.Conn))
	if err != nil {
		t.Fatal(err)
	}
	server.Close()
	if err := ln.Adopt(own, state); err != nil {
		own.Close()
		t.Fatalf("Adopt = %v", err)
	}
	return client
}

// accepted sends the next connections of ln until its end.
func accepted(ln net.Listener) <-chan net.Conn {
	conns := make(chan net.Conn, 1000)
	go func() {
		defer close(conns)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			conns <- c
		}
	}()
	return conns
}

// eventually waits until cond holds.
func eventually(tb testing.TB, what string, cond func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(30 * time.Second); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatalf("%s: not within 30 seconds", what)
		}
	}
}

// send writes text.
func send(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

// wantText wants text to be what comes next on c.
func wantText(t *testing.T, c net.Conn, text string) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(30 * time.Second))
	b := make([]byte, len(text))
	if _, err := io.ReadFull(c, b); err != nil || string(b) != text {
		t.Errorf("read %q, %v, want %q", b, err, text)
	}
}

func wantEOF(t *testing.T, c net.Conn) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(30 * time.Second))
	if n, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("Read = %d, %v, want io.EOF", n, err)
	}
}

// parked counts the goroutines that wait for an adopted connection's first byte.
func parked() int {
	buf := make([]byte, 1<<20)
	return strings.Count(string(buf[:runtime.Stack(buf, true)]), "listen.(*Listener).park(")
}

func TestAdoptedIsParkedUntilItsFirstByte(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			ln := generation(t, network)
			conns := accepted(ln)
			const n = 10
			var clients []net.Conn
			for range n {
				clients = append(clients, adopt(t, ln, network, nil))
			}
			eventually(t, "one goroutine for each", func() bool { return parked() == n })
			if len(conns) != 0 {
				t.Fatal("Accept returned a connection that has sent nothing")
			}
			send(t, clients[3], "request")
			c := within(t, conns, "Accept")
			if c.(listen.Conn).State() != nil || c.(listen.Conn).Group() != "web" {
				t.Errorf("State = %q, Group = %q, want nil, web", c.(listen.Conn).State(), c.(listen.Conn).Group())
			}
			wantText(t, c, "request") // all of it
			send(t, c, "answer")
			wantText(t, clients[3], "answer")
			if len(conns) != 0 {
				t.Error("Accept returned another connection")
			}
			eventually(t, "its goroutine is gone", func() bool { return parked() == n-1 })
			if got, want := ln.Stats(), (listen.Stats{Open: n, Parked: n - 1, In: n}); got != want {
				t.Errorf("Stats = %+v, want %+v", got, want)
			}
			c.Close()
		})
	}
}

func TestClientLeavesWhileParked(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		ln := generation(t, network)
		conns := accepted(ln)
		adopt(t, ln, network, nil).Close()
		reset := adopt(t, ln, network, nil)
		if tcp, ok := reset.(*net.TCPConn); ok {
			tcp.SetLinger(0)
		}
		reset.Close()
		eventually(t, "counted out", func() bool { return ln.Stats() == listen.Stats{In: 2} })
		if len(conns) != 0 {
			t.Errorf("%s: Accept returned a connection whose client has left", network)
		}
	}
}

func TestRequestAndEndWhileParked(t *testing.T) {
	ln := generation(t, "tcp")
	client := adopt(t, ln, "tcp", nil)
	send(t, client, "last")
	client.(*net.TCPConn).CloseWrite()
	c := within(t, accepted(ln), "Accept")
	if b, err := io.ReadAll(c); string(b) != "last" || err != nil {
		t.Errorf("read %q, %v, want the request and the end", b, err)
	}
	c.Close()
}

func TestAdoptedWithState(t *testing.T) {
	ln := generation(t, "tcp")
	state := bytes.Repeat([]byte("s"), 1<<20)
	first := adopt(t, ln, "tcp", []byte("first")) // before Accept
	conns := accepted(ln)
	c := within(t, conns, "Accept")
	second := adopt(t, ln, "tcp", state) // while it is blocked
	d := within(t, conns, "Accept")
	for _, tt := range []struct {
		conn, client net.Conn
		state        []byte
	}{{c, first, []byte("first")}, {d, second, state}} {
		if got := tt.conn.(listen.Conn).State(); !bytes.Equal(got, tt.state) {
			t.Errorf("State = %d bytes, want %d", len(got), len(tt.state))
		}
		send(t, tt.client, "x")
		wantText(t, tt.conn, "x")
		tt.conn.Close()
	}
	if parked() != 0 {
		t.Error("a connection with state was parked")
	}
}

func TestAdoptBeforeTheGate(t *testing.T) {
	gate := make(chan struct{})
	ln := listen.New(raw(t, "tcp"), listen.Options{Gate: gate})
	defer ln.Close()
	adopt(t, ln, "tcp", []byte("state"))
	conns := accepted(ln)
	if len(conns) != 0 {
		t.Error("Accept returned before the gate opened")
	}
	close(gate)
	within(t, conns, "Accept").Close()
}

// Adopted and accepted connections come to many goroutines in Accept, each once.
func TestAdoptIntoManyAccepts(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			ln := generation(t, network)
			const each = 20
			seen := make(chan string, 4*each)
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() {
					for {
						c, err := ln.Accept()
						if err != nil {
							return
						}
						b := make([]byte, 2)
						io.ReadFull(c, b)
						seen <- string(b)
						c.Close()
					}
				})
			}
			var clients sync.WaitGroup
			for i := range each {
				parked := adopt(t, ln, network, nil)
				clients.Go(func() { fmt.Fprintf(parked, "%c0", 'a'+i) })
				clients.Go(func() {
					stated := adopt(t, ln, network, []byte("state"))
					fmt.Fprintf(stated, "%c1", 'a'+i)
				})
				clients.Go(func() {
					c, err := to(ln)()
					if err != nil {
						t.Error(err)
						return
					}
					defer c.Close()
					fmt.Fprintf(c, "%c2", 'a'+i)
				})
			}
			times := make(map[string]int)
			for range 3 * each {
				times[within(t, seen, "Accept")]++
			}
			clients.Wait()
			if len(times) != 3*each {
				t.Errorf("%d connections were accepted, want %d", len(times), 3*each)
			}
			eventually(t, "all closed", func() bool { return ln.Stats().Open == 0 })
			if got := ln.Stats(); got.In != 2*each || got.Accepted != each {
				t.Errorf("Stats = %+v, want In %d, Accepted %d", got, 2*each, each)
			}
			ln.Close()
			all.Wait()
		})
	}
}

func TestIdleTimeoutOfParked(t *testing.T) {
	const timeout = 50 * time.Millisecond
	for _, network := range []string{"tcp", "unix"} {
		ln := generation(t, network)
		forever := adopt(t, ln, network, nil)
		eventually(t, "parked", func() bool { return parked() == 1 })
		ln.SetIdleTimeout(timeout)
		conns := accepted(ln)
		start := time.Now()
		client := adopt(t, ln, network, nil)
		wantEOF(t, client)
		if took := time.Since(start); took < timeout {
			t.Errorf("%s: closed after %v, want %v", network, took, timeout)
		}
		eventually(t, "counted out", func() bool { return ln.Stats().Open == 1 })
		if len(conns) != 0 {
			t.Errorf("%s: Accept returned a connection that timed out", network)
		}
		ln.SetIdleTimeout(-time.Second) // none
		late := adopt(t, ln, network, nil)
		for _, c := range []net.Conn{forever, late} {
			send(t, c, "x")
			wantText(t, within(t, conns, "Accept"), "x")
		}
		ln.Close()
		ln.Drain(expired())
	}
}

// Requests that come at the moment of the timeout are served or the connection is
// closed before, but never reset when Accept has returned it; and no deadline is
// left on it.
func TestRequestAtTheIdleTimeout(t *testing.T) {
	const timeout = 2 * time.Millisecond
	ln := generation(t, "tcp")
	ln.SetIdleTimeout(timeout)
	conns := accepted(ln)
	served := 0
	for i := range 200 {
		client := adopt(t, ln, "tcp", nil)
		time.Sleep(timeout*9/10 + time.Duration(i)*time.Microsecond)
		if _, err := io.WriteString(client, "x"); err != nil {
			client.Close()
			continue
		}
		closed := make(chan error, 1)
		go func() {
			_, err := client.Read(make([]byte, 1))
			closed <- err
		}()
		select {
		case c := <-conns:
			served++
			b := make([]byte, 1)
			if _, err := c.Read(b); err != nil || b[0] != 'x' {
				t.Errorf("read %q, %v, want the request", b, err)
			}
			send(t, c, "y")
			if err := within(t, closed, "answer"); err != nil {
				t.Errorf("the client reads %v, want the answer", err)
			}
			c.Close()
		case err := <-closed:
			if err == nil {
				t.Error("the client of a connection that was not accepted reads something")
			}
		}
		client.Close()
	}
	t.Logf("%d of 200 were served", served)
	eventually(t, "counted out", func() bool { return ln.Stats().Open == 0 })
}

func TestParkedMoveOn(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			old, next := generation(t, network), generation(t, network)
			conns, counted := accepted(next), make(chan struct{})
			var clients []net.Conn
			for range 20 {
				clients = append(clients, adopt(t, old, network, nil))
			}
			old.SetIdleTimeout(time.Millisecond) // does not concern them
			old.MoveIdle(&heir{next: next, takes: true})
			go func() { // each is open or moved at any time, never both
				for {
					got := old.Stats()
					if got.Open+int(got.Out) != 20 {
						t.Errorf("while they move, Stats = %+v, want 20 in all", got)
					}
					if got.Open == 0 {
						close(counted)
						return
					}
				}
			}()
			defer func() { <-counted }()
			if r := old.Drain(t.Context()); r.Moved != 20 || r.Ended != 0 || r.Cut != 0 {
				t.Errorf("Drain = %+v, want 20 moved", r)
			}
			if got := old.Stats(); got.Open != 0 || got.In != 20 || got.Out != 20 {
				t.Errorf("Stats = %+v, want all in and out", got)
			}
			for i, client := range clients {
				text := fmt.Sprintf("%02d", i)
				send(t, client, text)
				c := within(t, conns, "Accept")
				wantText(t, c, text)
				c.Close()
			}
			if err := old.Adopt(nil, nil); !errors.Is(err, net.ErrClosed) {
				t.Errorf("Adopt after the drain = %v, want net.ErrClosed", err)
			}
		})
	}
}

// While a generation drains it passes on what it gets.
func TestAdoptWhileDraining(t *testing.T) {
	old, next := generation(t, "tcp"), generation(t, "tcp")
	oldConns, conns := accepted(old), accepted(next)
	busy := adopt(t, old, "tcp", []byte("busy"))
	within(t, oldConns, "Accept")
	old.MoveIdle(&heir{next: next, takes: true})
	old.StopAccepting()
	client := adopt(t, old, "tcp", nil)
	eventually(t, "moved on", func() bool { return old.Stats().Out == 1 })
	send(t, client, "x")
	wantText(t, within(t, conns, "Accept of the next"), "x")
	adopt(t, old, "tcp", []byte("for the handler"))
	c := within(t, oldConns, "Accept while draining").(listen.Conn)
	if string(c.State()) != "for the handler" {
		t.Errorf("State = %q", c.State())
	}
	if err := c.Handover([]byte("on")); err != nil {
		t.Errorf("Handover = %v", err)
	}
	if got := within(t, conns, "Accept of the next").(listen.Conn).State(); string(got) != "on" {
		t.Errorf("State = %q, want on", got)
	}
	busy.Close()
}

// Without anyone who would take them, parked connections stay and are served.
func TestParkedStay(t *testing.T) {
	refused := errors.New("refused")
	tests := []struct {
		name string
		to   listen.Successor // nil for none
	}{
		{"no successor", nil},
		{"it does not take the group", &heir{}},
		{"it refuses", &heir{takes: true, refuse: refused}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ln := generation(t, "tcp")
			conns := accepted(ln)
			client, other := adopt(t, ln, "tcp", nil), adopt(t, ln, "tcp", nil)
			eventually(t, "parked", func() bool { return parked() == 2 })
			if tt.to != nil {
				ln.MoveIdle(tt.to)
			}
			drained := make(chan listen.Result, 1)
			go func() { drained <- ln.Drain(t.Context()) }()
			<-ln.Draining()
			send(t, client, "x")
			c := within(t, conns, "Accept while draining")
			wantText(t, c, "x")
			send(t, c, "y")
			wantText(t, client, "y")
			c.Close()
			other.Close()
			if r := within(t, drained, "Drain"); r.Ended != 2 || r.Moved != 0 || r.Cut != 0 {
				t.Errorf("Drain = %+v, want 2 ended", r)
			}
		})
	}
}

// At the end parked connections end, and a request that has arrived is answered.
func TestParkedEnd(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		ln := generation(t, network)
		idle, busy := adopt(t, ln, network, nil), adopt(t, ln, network, nil)
		send(t, busy, "x") // nobody is in Accept
		ln.CloseIdle()
		drained := make(chan listen.Result, 1)
		go func() { drained <- ln.Drain(t.Context()) }()
		wantEOF(t, idle)
		c := within(t, accepted(ln), "Accept while draining")
		wantText(t, c, "x")
		send(t, c, "y")
		c.Close()
		wantText(t, busy, "y")
		if r := within(t, drained, "Drain"); r.Ended != 2 || r.Cut != 0 {
			t.Errorf("%s: Drain = %+v, want 2 ended", network, r)
		}
	}
}

// The same when the request arrives at the moment of the end: whoever's request
// was taken by the kernel before gets an answer.
func TestRequestsMeetTheEnd(t *testing.T) {
	for range 20 {
		ln := generation(t, "tcp")
		var clients []net.Conn
		for range 10 {
			clients = append(clients, adopt(t, ln, "tcp", nil))
		}
		var sent sync.WaitGroup
		for _, c := range clients {
			sent.Go(func() { io.WriteString(c, "x") })
		}
		sent.Wait() // on loopback it has arrived by then
		ln.CloseIdle()
		conns := accepted(ln)
		go func() {
			for c := range conns {
				b := make([]byte, 1)
				io.ReadFull(c, b)
				c.Write(b)
				c.Close()
			}
		}()
		ln.StopAccepting()
		for _, c := range clients {
			wantText(t, c, "x")
			c.Close()
		}
	}
}

// What the program has closed the listener for cannot be accepted any more.
func TestAdoptedAfterClose(t *testing.T) {
	ln := generation(t, "tcp")
	queued := adopt(t, ln, "tcp", []byte("state"))
	client := adopt(t, ln, "tcp", nil)
	eventually(t, "parked", func() bool { return parked() == 1 })
	ln.Close()
	wantEOF(t, queued)
	send(t, client, "x")
	if n, err := client.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Read = %d, %v, want the end", n, err)
	}
	eventually(t, "counted out", func() bool { return ln.Stats().Open == 0 })
	if err := ln.Adopt(nil, nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Adopt = %v, want net.ErrClosed", err)
	}
}

func TestAdoptWithNobodyToPassOnTo(t *testing.T) {
	inner := raw(t, "tcp")
	server, client := pair(t, inner, to(inner))
	ln := generation(t, "tcp")
	pair(t, ln, to(ln)) // so that it drains
	ln.StopAccepting()
	if err := ln.Adopt(server, nil); !errors.Is(err, net.ErrClosed) {
		t.Fatalf("Adopt = %v, want net.ErrClosed", err)
	}
	send(t, server, "untouched")
	wantText(t, client, "untouched")
}

func TestHandoverByTheHandler(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		old, next := generation(t, network), generation(t, network)
		server, client := pair(t, old, to(old))
		conn := server.(listen.Conn)
		send(t, client, "first,second")
		wantText(t, conn, "first,")
		if err := conn.Handover([]byte("too early")); !errors.Is(err, listen.ErrNoSuccessor) {
			t.Errorf("%s: Handover without a successor = %v, want ErrNoSuccessor", network, err)
		}
		refused := errors.New("no room")
		old.MoveIdle(&heir{next: next, takes: true, refuse: refused})
		if err := conn.Handover(nil); !errors.Is(err, listen.ErrNoSuccessor) || !errors.Is(err, refused) {
			t.Errorf("%s: Handover that is refused = %v, want ErrNoSuccessor and the cause", network, err)
		}
		if !old.Moves() {
			t.Errorf("%s: Moves = false", network)
		}
		old.MoveIdle(&heir{next: next, takes: true})
		drained := make(chan listen.Result, 1)
		go func() { drained <- old.Drain(t.Context()) }()
		<-old.Draining()
		if err := conn.Handover([]byte("after the first")); err != nil {
			t.Fatalf("%s: Handover = %v", network, err)
		}
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: Read after Handover = %v, want net.ErrClosed", network, err)
		}
		if err := conn.Handover(nil); err == nil {
			t.Errorf("%s: second Handover = nil, want an error", network)
		}
		if r := within(t, drained, "Drain"); r.Moved != 1 || r.Ended != 0 {
			t.Errorf("%s: Drain = %+v, want 1 moved", network, r)
		}
		moved := within(t, accepted(next), "Accept of the next").(listen.Conn)
		if got := string(moved.State()); got != "after the first" {
			t.Errorf("%s: State = %q", network, got)
		}
		wantText(t, moved, "second")
		moved.Close()
	}
}

// dying is a successor that has promised to take connections, and has ended.
type dying struct{ dead atomic.Bool }

func (d *dying) Takes(string) bool { return !d.dead.Load() }

func (d *dying) Move(string, []byte, syscall.Conn) error { return net.ErrClosed }

// When both generations are asked to end, idle connections that were to move have nobody to move to, and
// must not hold the older one until its deadline. Before, they stay and are served.
func TestHurryEndsIdleConnectionsWithoutASuccessor(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		old := generation(t, network)
		server, client := pair(t, old, to(old))
		r := new(listen.IdleReader)
		r.Init(server.(listen.Conn), func(int) bool { return true })
		next := new(dying)
		old.MoveIdle(next)
		next.dead.Store(true)
		read := make(chan error, 2)
		go func() {
			defer server.Close()
			for range cap(read) {
				_, err := r.Read(make([]byte, 8))
				read <- err
			}
		}()
		drained := make(chan listen.Result, 1)
		go func() { drained <- old.Drain(t.Context()) }()
		<-old.Draining()
		send(t, client, "used")
		if err := within(t, read, "Read"); err != nil {
			t.Errorf("%s: Read = %v before the hurry", network, err)
		}
		old.Hurry()
		if err := within(t, read, "Read"); !errors.Is(err, io.EOF) {
			t.Errorf("%s: Read = %v, want io.EOF", network, err)
		}
		if r := within(t, drained, "Drain"); r.Ended != 1 {
			t.Errorf("%s: Drain = %+v, want 1 ended", network, r)
		}
	}
}

// A client whose connection has just been adopted may be about to send its first request: at a stop it
// has the rest of a second, as if it had been accepted here.
func TestAdoptedAtAStop(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		ln := generation(t, network)
		client := adopt(t, ln, network, nil)
		ln.CloseIdle()
		drained := make(chan listen.Result, 1)
		go func() { drained <- ln.Drain(t.Context()) }()
		<-ln.Draining()
		send(t, client, "first")
		c, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		wantText(t, c, "first")
		c.Close()
		within(t, drained, "Drain")
	}
}

func TestHandoverOfWhatIsNoSocket(t *testing.T) {
	ln, mem := inMemory(listen.Options{})
	ln.MoveIdle(&heir{takes: true})
	server, _ := pair(t, ln, mem.Dial)
	if err := server.(listen.Conn).Handover(nil); !errors.Is(err, listen.ErrNoSuccessor) {
		t.Errorf("Handover = %v, want ErrNoSuccessor", err)
	}
}

// Drains, adoptions and clients at the same time lose nothing: each of the clients
// is served by some generation.
func TestAdoptAndDrainAllAtOnce(t *testing.T) {
	for range 10 {
		const n = 20
		line := []*listen.Listener{generation(t, "tcp"), generation(t, "tcp"), generation(t, "tcp")}
		for _, ln := range line {
			conns := accepted(ln)
			go func() {
				for c := range conns {
					go func() {
						defer c.Close()
						b := make([]byte, 1)
						if _, err := io.ReadFull(c, b); err == nil {
							c.Write(b)
						}
					}()
				}
			}()
		}
		line[0].MoveIdle(&heir{next: line[1], takes: true})
		line[1].MoveIdle(&heir{next: line[2], takes: true})
		var all sync.WaitGroup
		for i := range n {
			client := adopt(t, line[0], "tcp", nil)
			all.Go(func() {
				client.Write([]byte{byte(i)})
				b := make([]byte, 1)
				if _, err := io.ReadFull(client, b); err != nil || b[0] != byte(i) {
					t.Errorf("client %d reads %v, %v, want what it has sent", i, b, err)
				}
			})
		}
		for _, ln := range line[:2] {
			all.Go(func() { ln.Drain(t.Context()) })
		}
		all.Wait()
	}
}

//go:build unix

package listener_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/succession"
)

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
			old.MoveIdle(&succession.Heir{Next: next})
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
			if err := take(old, nil, nil); !errors.Is(err, net.ErrClosed) {
				t.Errorf("Reserve after the drain = %v, want net.ErrClosed", err)
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
	old.MoveIdle(&succession.Heir{Next: next})
	old.StopAccepting()
	client := adopt(t, old, "tcp", nil)
	eventually(t, "moved on", func() bool { return old.Stats().Out == 1 })
	send(t, client, "x")
	wantText(t, within(t, conns, "Accept of the next"), "x")
	adopt(t, old, "tcp", []byte("for the handler"))
	c := within(t, oldConns, "Accept while draining").(listener.Conn)
	if string(c.State()) != "for the handler" {
		t.Errorf("State = %q", c.State())
	}
	if err := c.Handover([]byte("on")); err != nil {
		t.Errorf("Handover = %v", err)
	}
	if got := within(t, conns, "Accept of the next").(listener.Conn).State(); string(got) != "on" {
		t.Errorf("State = %q, want on", got)
	}
	busy.Close()
}

// Without anyone who would take them, parked connections stay and are served.
func TestParkedStay(t *testing.T) {
	refused := errors.New("refused")
	tests := []struct {
		name string
		to   listener.Successor // nil for none
	}{
		{"no successor", nil},
		{"it does not take the group", &succession.Heir{}},
		{"it refuses", &succession.Heir{Refuse: refused}},
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
			drained := make(chan listener.Result, 1)
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

func TestAdoptWithNobodyToPassOnTo(t *testing.T) {
	inner := raw(t, "tcp")
	server, client := pair(t, inner, to(inner))
	ln := generation(t, "tcp")
	pair(t, ln, to(ln)) // so that it drains
	ln.StopAccepting()
	if err := take(ln, server, nil); !errors.Is(err, net.ErrClosed) {
		t.Fatalf("Reserve = %v, want net.ErrClosed", err)
	}
	send(t, server, "untouched")
	wantText(t, client, "untouched")
}

func TestHandoverByTheHandler(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		old, next := generation(t, network), generation(t, network)
		server, client := pair(t, old, to(old))
		conn := server.(listener.Conn)
		send(t, client, "first,second")
		wantText(t, conn, "first,")
		if err := conn.Handover([]byte("too early")); !errors.Is(err, listener.ErrNoSuccessor) {
			t.Errorf("%s: Handover without a successor = %v, want ErrNoSuccessor", network, err)
		}
		refused := errors.New("no room")
		old.MoveIdle(&succession.Heir{Next: next, Refuse: refused})
		if err := conn.Handover(nil); !errors.Is(err, listener.ErrNoSuccessor) || !errors.Is(err, refused) {
			t.Errorf("%s: Handover that is refused = %v, want ErrNoSuccessor and the cause", network, err)
		}
		if !old.Moves() {
			t.Errorf("%s: Moves = false", network)
		}
		old.MoveIdle(&succession.Heir{Next: next})
		drained := make(chan listener.Result, 1)
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
		moved := within(t, accepted(next), "Accept of the next").(listener.Conn)
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
		r := new(listener.IdleReader)
		r.Init(server.(listener.Conn), func(int) bool { return true })
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
		drained := make(chan listener.Result, 1)
		go func() { drained <- old.Drain(t.Context()) }()
		<-old.Draining()
		send(t, client, "used")
		if err := within(t, read, "Read"); err != nil {
			t.Errorf("%s: Read = %v before the hurry", network, err)
		}
		old.Expedite()
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
		drained := make(chan listener.Result, 1)
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

// Without a key nobody knows where a connection would have to go.
func TestNothingMovesWithoutAKey(t *testing.T) {
	ln := listener.New(raw(t, "tcp"), listener.Options{Group: "web"})
	defer ln.Close()
	ln.MoveIdle(&succession.Heir{Next: ln})
	server, _ := pair(t, ln, to(ln))
	if err := server.(listener.Conn).Handover(nil); !errors.Is(err, listener.ErrNoSuccessor) {
		t.Errorf("Handover = %v, want ErrNoSuccessor", err)
	}
	if ln.Moves() {
		t.Error("idle connections move")
	}
}

func TestHandoverOfWhatIsNoSocket(t *testing.T) {
	ln, mem := inMemory(listener.Options{HandoverKey: "tcp memory"})
	ln.MoveIdle(&succession.Heir{Next: ln})
	server, _ := pair(t, ln, mem.Dial)
	if err := server.(listener.Conn).Handover(nil); !errors.Is(err, listener.ErrNoSuccessor) {
		t.Errorf("Handover = %v, want ErrNoSuccessor", err)
	}
}

// Drains, adoptions and clients at the same time lose nothing: each of the clients
// is served by some generation.
func TestAdoptAndDrainAllAtOnce(t *testing.T) {
	for range 10 {
		const n = 20
		line := []*listener.Listener{generation(t, "tcp"), generation(t, "tcp"), generation(t, "tcp")}
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
		line[0].MoveIdle(&succession.Heir{Next: line[1]})
		line[1].MoveIdle(&succession.Heir{Next: line[2]})
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

//go:build unix

package listener_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/succession"
)

// untaken is what a successor says that has certainly not taken a connection.
type untaken struct{}

func (untaken) Error() string { return "no" }
func (untaken) Untaken() bool { return true }

// parcel is a Cargo that notes what becomes of it.
type parcel struct {
	state        []byte
	err, left    error
	packed, gone atomic.Int32
	stayed       atomic.Int32
	last         []byte // what Pack has returned
}

func (p *parcel) Pack([]byte) ([]byte, error) {
	p.packed.Add(1)
	if p.err != nil {
		return nil, p.err
	}
	p.last = bytes.Clone(p.state)
	return p.last, nil
}

func (p *parcel) Stay() { p.stayed.Add(1) }

func (p *parcel) Left() error {
	p.gone.Add(1)
	return p.left
}

// vault is a listener of connections with a Cargo, and what it says of those that stay.
func vault(t *testing.T) (ln *listener.Listener, said chan string) {
	t.Helper()
	said = make(chan string, 10)
	ln = listener.New(raw(t, "tcp"), listener.Options{
		Group: "web", SealedKey: "sealed", OnStay: func(reason string, err error) { said <- fmt.Sprintf("%s: %v", reason, err) },
	})
	ln.Arrivals().Admit(listener.SealedWay, func([]byte) (listener.Arrival, error) { return listener.Arrival{}, nil })
	t.Cleanup(func() {
		ln.Close()
		ln.Drain(expired())
	})
	return ln, said
}

// sealedHeir is a successor of those.
type sealedHeir struct {
	next *listener.Listener
	say  error // instead of taking it

	mu  sync.Mutex // guards got: several connections may move at a time
	got []byte     // the last state
}

func (h *sealedHeir) Takes(key string) bool { return key == "sealed" }

func (h *sealedHeir) Move(_ string, state []byte, s syscall.Conn) error {
	state = bytes.Clone(state)
	h.mu.Lock()
	h.got = state
	h.mu.Unlock()
	if h.say != nil {
		return h.say
	}
	c, err := succession.Duplicate(s)
	if err != nil {
		return err
	}
	answered, err := h.next.Arrivals().Reserve("sealed", c, state)
	if err == nil {
		answered(nil)
	}
	return err
}

// At any time one process at most has the keys: what becomes of a connection after each answer that there can be.
func TestOneOwnerAtMost(t *testing.T) {
	for _, tt := range []struct {
		name   string
		say    error
		pack   error
		left   error
		stays  bool // and can be used
		thaws  bool
		counts map[string]uint64
	}{
		{name: "taken", counts: nil},
		{name: "taken, and it was wrong", left: errors.New("wrong"), counts: map[string]uint64{"wrong": 1}},
		{name: "refused", say: untaken{}, stays: true, thaws: true, counts: map[string]uint64{"refused": 1}},
		{name: "refused, with words", say: fmt.Errorf("it is said: %w", untaken{}), stays: true, thaws: true, counts: map[string]uint64{"refused": 1}},
		{name: "an error that knows nothing", say: errors.New("broken"), counts: map[string]uint64{"uncertain": 1}},
		{name: "closed", say: net.ErrClosed, counts: map[string]uint64{"uncertain": 1}},
		{name: "not packed", pack: &listener.StayError{Reason: "why"}, stays: true, counts: map[string]uint64{"why": 1}},
		{name: "not packed, for whatever reason", pack: errors.New("oh"), stays: true, counts: map[string]uint64{"unknown": 1}},
		{name: "busy", pack: fmt.Errorf("a record: %w", listener.ErrBusy), stays: true, counts: nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			old, _ := vault(t)
			next, _ := vault(t)
			server, client := pair(t, old, to(old))
			cargo := &parcel{state: []byte("secret"), err: tt.pack, left: tt.left}
			r := new(listener.IdleReader)
			r.InitSealed(server.(listener.Conn).NetConn(), server.(listener.Conn), cargo, func(int) bool { return true })
			heir := &sealedHeir{next: next, say: tt.say}
			old.MoveIdle(heir)
			done := read(r)
			old.StopAccepting()
			if tt.stays {
				eventually(t, "asked", func() bool { return cargo.packed.Load() > 0 })
				send(t, client, "x")
				if got := within(t, done, "Read"); got.text != "x" || got.err != nil {
					t.Errorf("Read = %q, %v, want that it goes on", got.text, got.err)
				}
			} else if got := within(t, done, "Read"); !errors.Is(got.err, io.EOF) {
				t.Errorf("Read = %q, %v, want io.EOF", got.text, got.err)
			}
			if got := cargo.stayed.Load() > 0; got != tt.thaws {
				t.Errorf("Stay was called: %v, want %v", got, tt.thaws)
			}
			if got, want := cargo.gone.Load() > 0, !tt.stays; got != want {
				t.Errorf("Left was called: %v, want %v", got, want)
			}
			if tt.pack == nil && (string(heir.got) != "secret" && tt.say != nil || !bytes.Equal(cargo.last, make([]byte, 6))) {
				t.Errorf("%q was sent, and %q remains", heir.got, cargo.last)
			}
			if got := old.Stayed(); !maps.Equal(got, tt.counts) {
				t.Errorf("Stayed = %v, want %v", got, tt.counts)
			}
			if tt.say != nil && !tt.stays { // nobody has it: the client sees that
				wantEOF(t, client)
			}
			definite := tt.stays && !errors.Is(tt.pack, listener.ErrBusy)
			if r.IsRefused() != (definite || tt.say != nil || tt.left != nil) {
				t.Errorf("IsRefused = %v", r.IsRefused())
			}
		})
	}
}

// A reason is told once, whatever the number of connections.
func TestReasonsAreToldOnce(t *testing.T) {
	old, said := vault(t)
	old.MoveIdle(&sealedHeir{say: untaken{}})
	for range 3 {
		server, _ := pair(t, old, to(old))
		r := new(listener.IdleReader)
		r.InitSealed(server.(listener.Conn).NetConn(), server.(listener.Conn), &parcel{state: []byte("s")}, func(int) bool { return true })
		read(r)
	}
	server, _ := pair(t, old, to(old))
	listener.Stays(server, "h2")
	old.StopAccepting()
	eventually(t, "counted", func() bool { return maps.Equal(old.Stayed(), map[string]uint64{"refused": 3, "h2": 1}) })
	if got := within(t, said, "OnStay"); got != "refused: no" || len(said) != 0 {
		t.Errorf("OnStay was told %q and %d more, want one", got, len(said))
	}
}

// What an older generation could not be told of is closed, and its state cleared: that one may go on.
func TestUnansweredIsClosed(t *testing.T) {
	ln, _ := vault(t)
	inner := raw(t, "tcp")
	server, client := pair(t, inner, to(inner))
	own, err := succession.Duplicate(server.(syscall.Conn))
	if err != nil {
		t.Fatal(err)
	}
	state := []byte("secret")
	answered, err := ln.Arrivals().Reserve("sealed", own, state)
	if err != nil {
		t.Fatal(err)
	}
	send(t, client, "x")
	if got := ln.Stats(); got.Open != 1 || got.Parked != 0 {
		t.Errorf("before the answer Stats = %+v, want one that nobody uses", got)
	}
	answered(io.ErrClosedPipe)
	if got := ln.Stats(); got.Open != 0 || !bytes.Equal(state, make([]byte, len(state))) {
		t.Errorf("Stats = %+v and the state is %q, want neither", got, state)
	}
	wantText(t, server, "x") // the older generation's
	send(t, server, "y")
	wantText(t, client, "y")
}

// A state is given out once, and is gone with the connection.
func TestUnseal(t *testing.T) {
	ln, _ := vault(t)
	conns := accepted(ln)
	for _, take := range []bool{true, false} {
		inner := raw(t, "tcp")
		server, client := pair(t, inner, to(inner))
		own, err := succession.Duplicate(server.(syscall.Conn))
		if err != nil {
			t.Fatal(err)
		}
		server.Close()
		state := []byte("secret")
		answered, err := ln.Arrivals().Reserve("sealed", own, state)
		if err != nil {
			t.Fatal(err)
		}
		answered(nil)
		send(t, client, "x")
		c := within(t, conns, "Accept")
		if take {
			if got := listener.Unseal(c); string(got) != "secret" {
				t.Errorf("Unseal = %q", got)
			}
			if got := listener.Unseal(c); got != nil {
				t.Errorf("the second Unseal = %q", got)
			}
		}
		if got := c.(listener.Conn).State(); got != nil {
			t.Errorf("the program sees %q", got)
		}
		c.Close()
		if !take && !bytes.Equal(state, make([]byte, len(state))) {
			t.Errorf("after Close the state is %q", state)
		}
	}
}

// Nobody gets a connection with keys that nobody has asked for, or that the check refuses.
func TestSealedThatNobodyTakes(t *testing.T) {
	ln, _ := vault(t)
	no := errors.New("no")
	stop := ln.Arrivals().Admit(listener.SealedWay, func([]byte) (listener.Arrival, error) { return listener.Arrival{}, no })
	if _, err := ln.Arrivals().Reserve("sealed", nil, []byte("s")); !errors.Is(err, no) {
		t.Errorf("Reserve = %v, want what the check says", err)
	}
	other := errors.New("other")
	ln.Arrivals().Admit(listener.SealedWay, func([]byte) (listener.Arrival, error) { return listener.Arrival{}, other })
	stop() // is not the one that counts
	if _, err := ln.Arrivals().Reserve("sealed", nil, []byte("s")); !errors.Is(err, other) {
		t.Errorf("Reserve = %v, want what the second check says", err)
	}
	ln.Arrivals().Admit(listener.SealedWay, nil)()
	if _, err := ln.Arrivals().Reserve("sealed", nil, []byte("s")); err == nil {
		t.Error("Reserve = nil, and nobody serves them")
	}
}

// While it is asked for what it has read ahead, the layer loses nothing, and its data counts as a request.
func TestLayerThatHasReadAhead(t *testing.T) {
	old, _ := vault(t)
	next, _ := vault(t)
	server, client := pair(t, old, to(old))
	layer := &ahead{Conn: server.(listener.Conn).NetConn(), has: []byte("ahead")}
	var idle atomic.Bool
	idle.Store(true)
	r := new(listener.IdleReader)
	r.InitSealed(layer, server.(listener.Conn), &parcel{state: []byte("s")}, func(int) bool { return idle.Load() })
	old.MoveIdle(&sealedHeir{next: next})
	old.StopAccepting()
	if got := within(t, read(r), "Read"); got.text != "ahead" || got.err != nil {
		t.Fatalf("Read = %q, %v, want what the layer had", got.text, got.err)
	}
	idle.Store(false)
	r.SetReadDeadline(time.Now().Add(30 * time.Second))
	send(t, client, "more")
	if got := within(t, read(r), "Read"); got.text != "more" || got.err != nil {
		t.Errorf("Read = %q, %v, want more", got.text, got.err)
	}
	idle.Store(true)
	if got := within(t, read(r), "Read"); !errors.Is(got.err, io.EOF) || old.Stats().Out != 1 {
		t.Errorf("Read = %q, %v, want that it has moved", got.text, got.err)
	}
}

// ahead has read something.
type ahead struct {
	net.Conn
	has []byte
}

func (a *ahead) Read(b []byte) (int, error) {
	if len(a.has) > 0 {
		n := copy(b, a.has)
		a.has = a.has[n:]
		return n, nil
	}
	return a.Conn.Read(b)
}

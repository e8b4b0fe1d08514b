//go:build unix

package handover_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/handover"
)

func TestSenderLearnsTheGroups(t *testing.T) {
	s := connect(t, receiver(t, newShelf(t).take))
	if !s.Takes("web") || s.Takes("other") || s.Takes("") {
		t.Errorf("Takes(web) = %v, Takes(other) = %v, want true, false", s.Takes("web"), s.Takes("other"))
	}
	s.Close()
	if s.Takes("web") {
		t.Error("Takes after Close, want false")
	}
}

func TestGreetingThatIsNone(t *testing.T) {
	tests := []struct {
		name string
		sent []byte
	}{
		{"nothing", nil},
		{"half a header", []byte{handover.KindGroups, 0}},
		{"another frame", handover.AppendFrame(nil, handover.KindTaken, 1, nil)},
		{"not JSON", handover.AppendFrame(nil, handover.KindGroups, 0, []byte("web"))},
		{"a number", handover.AppendFrame(nil, handover.KindGroups, 0, []byte("1"))},
		{"garbage", []byte("GET / HTTP/1.1\r\n\r\n")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ours, theirs := channel(t)
			theirs.Write(tt.sent)
			theirs.Close()
			if s, err := handover.NewSender(ours); err == nil {
				s.Close()
				t.Error("NewSender = nil, want an error")
			}
			if err := ours.Close(); !errors.Is(err, os.ErrClosed) {
				t.Errorf("the channel was not taken over: Close = %v", err)
			}
		})
	}
}

func TestChannelThatIsNone(t *testing.T) {
	file := func() *os.File {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	if s, err := handover.NewSender(file()); err == nil {
		s.Close()
		t.Error("NewSender of a file = nil, want an error")
	}
	if err := receiver(t, newShelf(t).take).Add(file()); err == nil {
		t.Error("Add of a file = nil, want an error")
	}
}

// What the client sends before, during and after is seen once, in order: the
// beginning by the old owner, the rest by the new one.
func TestMoveUnderTraffic(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			const words, first = 20_000, 1000
			server, client := pair(t, network)
			got := make(chan []byte, 1)
			s := connect(t, receiver(t, func(_ string, c net.Conn, _ []byte) error {
				go func() {
					defer c.Close()
					b, _ := io.ReadAll(c)
					io.WriteString(c, "got it")
					got <- b
				}()
				return nil
			}))
			var want []byte
			for i := range words {
				want = binary.BigEndian.AppendUint32(want, uint32(i))
			}
			begun := make(chan struct{})
			go func() {
				defer client.(interface{ CloseWrite() error }).CloseWrite()
				for i := 0; i < len(want); i += 4 {
					if i == 4*first {
						close(begun)
					}
					client.Write(want[i : i+4])
				}
			}()
			before := make([]byte, 4*first)
			if _, err := io.ReadFull(server, before); err != nil {
				t.Fatal(err)
			}
			<-begun
			if err := s.Move("web", nil, socket(t, server)); err != nil {
				t.Fatalf("Move = %v", err)
			}
			server.Close()
			if all := append(before, within(t, got, "the new owner")...); !bytes.Equal(all, want) {
				t.Errorf("%d bytes arrived, want the %d that were sent", len(all), len(want))
			}
			if answer, err := io.ReadAll(client); string(answer) != "got it" || err != nil {
				t.Errorf("the client reads %q, %v, want the new owner's answer", answer, err)
			}
		})
	}
}

func TestMoveWithState(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		for _, size := range []int{0, 1, handover.MaxState} {
			t.Run(fmt.Sprintf("%s %d bytes", network, size), func(t *testing.T) {
				got := newShelf(t)
				s := connect(t, receiver(t, got.take))
				server, client := pair(t, network)
				state := bytes.Repeat([]byte("s"), size)
				if err := s.Move("web", state, socket(t, server)); err != nil {
					t.Fatalf("Move = %v", err)
				}
				server.Close()
				moved := got.only(t)
				if moved.group != "web" || !bytes.Equal(moved.state, state) {
					t.Errorf("group %q and %d bytes of state arrived, want web and %d", moved.group, len(moved.state), size)
				}
				if got, want := moved.conn.RemoteAddr().String(), client.LocalAddr().String(); got != want {
					t.Errorf("RemoteAddr = %q, want %q", got, want)
				}
				wantUsable(t, moved.conn, client)
			})
		}
	}
}

func TestMoveTooLong(t *testing.T) {
	got := newShelf(t)
	s := connect(t, receiver(t, got.take))
	server, client := pair(t, "tcp")
	for name, err := range map[string]error{
		"state": s.Move("web", make([]byte, handover.MaxState+1), socket(t, server)),
		"group": s.Move(strings.Repeat("g", 256), nil, socket(t, server)),
	} {
		if !errors.Is(err, handover.ErrTooLong) {
			t.Errorf("%s: Move = %v, want that it is too long", name, err)
		}
	}
	wantUsable(t, server, client)
	if err := s.Move("web", nil, socket(t, server)); err != nil { // nor is the channel harmed
		t.Fatalf("Move = %v", err)
	}
	wantUsable(t, got.only(t).conn, client)
}

func TestMoveOfAClosedConnection(t *testing.T) {
	got := newShelf(t)
	s := connect(t, receiver(t, got.take))
	server, _ := pair(t, "tcp")
	server.Close()
	if err := s.Move("web", nil, socket(t, server)); err == nil {
		t.Error("Move = nil, want an error")
	}
	again, client := pair(t, "tcp")
	if err := s.Move("web", nil, socket(t, again)); err != nil {
		t.Fatalf("Move of another = %v", err)
	}
	wantUsable(t, got.only(t).conn, client)
}

func TestRefusalLeavesTheConnection(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		s := connect(t, receiver(t, func(string, net.Conn, []byte) error { return errors.New("no room") }))
		server, client := pair(t, network)
		io.WriteString(client, "before ")
		for range 3 {
			err := s.Move("web", []byte("state"), socket(t, server))
			if !errors.Is(err, handover.ErrRefused) || !strings.Contains(err.Error(), "no room") {
				t.Errorf("%s: Move = %v, want ErrRefused and the reason", network, err)
			}
		}
		before := make([]byte, len("before "))
		if _, err := io.ReadFull(server, before); err != nil {
			t.Errorf("%s: what had been sent before: %v", network, err)
		}
		wantUsable(t, server, client)
	}
}

// A connection whose client has reset it has no address any more, and a handler
// that asks for it would crash.
func TestResetConnectionIsRefused(t *testing.T) {
	got := newShelf(t)
	s := connect(t, receiver(t, got.take))
	server, client := pair(t, "tcp")
	client.(*net.TCPConn).SetLinger(0)
	client.Close()
	if _, err := server.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("the server reads %v, want a reset", err)
	}
	if err := s.Move("web", []byte("state"), socket(t, server)); !errors.Is(err, handover.ErrRefused) {
		t.Errorf("Move = %v, want ErrRefused", err)
	}
}

// moves starts the Moves of n connections, and returns their sockets and a channel
// of results.
func moves(t *testing.T, s *handover.Sender, n int, state func(i int) []byte) (servers, clients []net.Conn, results <-chan error) {
	t.Helper()
	errs := make(chan error, n)
	for i := range n {
		server, client := pair(t, "unix")
		servers, clients = append(servers, server), append(clients, client)
		go func() { errs <- s.Move("web", state(i), socket(t, server)) }()
	}
	return servers, clients, errs
}

// The receiver answers some, and dies: the answers count, and the others keep
// their connections.
func TestReceiverDies(t *testing.T) {
	const all = 10
	for _, read := range []int{0, 3, 7, all} { // frames that it has read
		for _, answered := range []int{0, 3} {
			if answered > read {
				continue
			}
			t.Run(fmt.Sprintf("%d read %d answered", read, answered), func(t *testing.T) {
				s, r := fake(t)
				servers, clients, results := moves(t, s, all, name)
				for i := range read {
					kind, seq := r.next(t)
					if kind != handover.KindConn {
						t.Fatalf("frame of kind %d, want a connection", kind)
					}
					if i < answered {
						r.say(t, handover.KindTaken, seq, "")
					}
				}
				r.Close()
				var errs []error
				for range all {
					if err := within(t, results, "Move"); err != nil {
						errs = append(errs, err)
					}
				}
				if len(errs) != all-answered {
					t.Errorf("%d Moves failed, want %d", len(errs), all-answered)
				}
				wantErrors(t, errs, handover.ErrGone)
				for i := range servers {
					wantUsable(t, servers[i], clients[i])
				}
				if err := s.Move("web", nil, socket(t, servers[0])); !errors.Is(err, handover.ErrGone) || s.Takes("web") {
					t.Errorf("after the end Move = %v and Takes = %v, want ErrGone, false", err, s.Takes("web"))
				}
			})
		}
	}
}

// It dies in the midst of a frame that does not fit in the channel.
func TestReceiverDiesInTheMidstOfAFrame(t *testing.T) {
	s, r := fake(t)
	servers, clients, results := moves(t, s, 5, func(int) []byte { return make([]byte, handover.MaxState) })
	if _, err := io.CopyN(io.Discard, r, 100<<10); err != nil {
		t.Fatal(err)
	}
	r.Close()
	for i := range servers {
		if err := within(t, results, "Move"); !errors.Is(err, handover.ErrGone) {
			t.Errorf("Move = %v, want ErrGone", err)
		}
		wantUsable(t, servers[i], clients[i])
	}
}

// A Close of the sender does not take back what the receiver may take.
func TestCloseDuringMoves(t *testing.T) {
	for range 20 {
		t.Run("round", func(t *testing.T) {
			got, hold := newShelf(t), make(chan struct{})
			r := receiver(t, func(group string, c net.Conn, state []byte) error {
				<-hold
				return got.take(group, c, state)
			})
			s := connect(t, r)
			_, _, results := moves(t, s, 10, name)
			closed := make(chan struct{})
			go func() {
				s.Close()
				close(closed)
			}()
			close(hold)
			ok := countMoved(t, results, 10)
			<-closed
			r.Close() // waits until it takes nothing any more
			if n := len(got.clear()); n != ok {
				t.Errorf("%d connections were taken, and %d Moves returned nil", n, ok)
			}
		})
	}
}

func TestReceiverCloses(t *testing.T) {
	got := newShelf(t)
	r := receiver(t, got.take)
	s := connect(t, r)
	r.Close()
	server, client := pair(t, "tcp")
	if err := s.Move("web", nil, socket(t, server)); !errors.Is(err, handover.ErrGone) {
		t.Errorf("Move = %v, want ErrGone", err)
	}
	wantUsable(t, server, client)
	_, theirs := channel(t)
	if err := r.Add(theirs); err == nil {
		t.Error("Add after Close = nil, want an error")
	}
}

// A receiver that is slow holds the senders back, and answers everyone in the end.
func TestSlowReceiver(t *testing.T) {
	const all = 200
	got, hold := newShelf(t), make(chan struct{})
	var asked atomic.Int32
	s := connect(t, receiver(t, func(group string, c net.Conn, state []byte) error {
		asked.Add(1)
		<-hold
		return got.take(group, c, state)
	}))
	// Together much more than the channel holds.
	_, _, results := moves(t, s, all, func(i int) []byte { return append(name(i), make([]byte, 10<<10)...) })
	for deadline := time.Now().Add(30 * time.Second); asked.Load() == 0; {
		if time.Now().After(deadline) {
			t.Fatal("nothing arrives")
		}
		time.Sleep(time.Millisecond)
	}
	if len(results) != 0 {
		t.Errorf("%d Moves returned before an answer", len(results))
	}
	close(hold)
	for range all {
		if err := within(t, results, "Move"); err != nil {
			t.Errorf("Move = %v", err)
		}
	}
	wantOnce(t, all, got.clear())
}

// wantOnce wants each of the connections 0 to n-1 once among all.
func wantOnce(t *testing.T, n int, all ...[]taken) {
	t.Helper()
	times := make(map[string]int)
	for _, part := range all {
		for _, got := range part {
			id, _, _ := strings.Cut(string(got.state), "\x00")
			times[id]++
		}
	}
	for i := range n {
		if got := times[string(name(i))]; got != 1 {
			t.Errorf("%s was taken %d times, want once", name(i), got)
		}
	}
	if len(times) > n {
		t.Errorf("%d connections were taken, want %d", len(times), n)
	}
}

// Frames that nobody should send end the channel or are refused, and no more.
func TestReceiverOfNonsense(t *testing.T) {
	conn, err := handover.ConnPayload("web", nil)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		sent    []byte
		refused bool // answered; else the channel ends
	}{
		{"a connection without a descriptor", handover.AppendFrame(nil, handover.KindConn, 5, conn), true},
		{"a channel without a descriptor", handover.AppendFrame(nil, handover.KindChannel, 5, nil), true},
		{"an answer", handover.AppendFrame(nil, handover.KindTaken, 5, nil), true},
		{"an unknown kind", []byte{99, 0, 0, 0, 0, 0, 0, 0, 0}, false},
		{"a frame that is too long", []byte{handover.KindConn, 0, 0, 0, 0, 255, 255, 255, 255}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ours, theirs := channel(t)
			if err := receiver(t, newShelf(t).take).Add(theirs); err != nil {
				t.Fatal(err)
			}
			f := fileConn(t, ours)
			f.next(t) // the greeting
			if _, err := f.Write(tt.sent); err != nil {
				t.Fatal(err)
			}
			if tt.refused {
				if kind, seq := f.next(t); kind != handover.KindRefused || seq != 5 {
					t.Errorf("answer of kind %d to %d, want a refusal of 5", kind, seq)
				}
				return
			}
			if n, err := f.Read(make([]byte, 1)); n != 0 || err == nil {
				t.Errorf("Read = %d, %v, want the end of the channel", n, err)
			}
		})
	}
}

// fileConn takes over f.
func fileConn(tb testing.TB, f *os.File) *fakeReceiver {
	tb.Helper()
	c, err := net.FileConn(f)
	if err != nil {
		tb.Fatal(err)
	}
	f.Close()
	tb.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(30 * time.Second))
	return &fakeReceiver{c}
}

// A descriptor that is no socket is refused, and the channel goes on.
func TestDescriptorThatIsNoSocket(t *testing.T) {
	got := newShelf(t)
	s := connect(t, receiver(t, got.take))
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := s.Move("web", nil, f); !errors.Is(err, handover.ErrRefused) {
		t.Errorf("Move of a file = %v, want ErrRefused", err)
	}
	if err := s.MoveChannel(f); !errors.Is(err, handover.ErrRefused) {
		t.Errorf("MoveChannel of a file = %v, want ErrRefused", err)
	}
	server, _ := pair(t, "tcp")
	if err := s.Move("web", nil, socket(t, server)); err != nil {
		t.Errorf("Move = %v", err)
	}
}

// FuzzFrame sends to a receiver, and to a sender that has been greeted, what
// another process should not.
func FuzzFrame(f *testing.F) {
	conn, err := handover.ConnPayload("web", []byte("state"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte{})
	for kind := range byte(7) {
		f.Add(handover.AppendFrame(nil, kind, 1, nil))
		f.Add(handover.AppendFrame(nil, kind, 1, conn))
	}
	f.Add(handover.AppendFrame(handover.AppendFrame(nil, handover.KindTaken, 1, nil), handover.KindGroups, 0, []byte(`["x"]`)))
	f.Add([]byte{handover.KindConn, 0, 0, 0, 1, 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, sent []byte) {
		if len(sent) >= handover.HeaderLen {
			if _, _, size, err := handover.ParseHeader([handover.HeaderLen]byte(sent)); err == nil && size > handover.MaxPayload {
				t.Errorf("a payload of %d bytes would be read, want at most %d", size, handover.MaxPayload)
			}
		}
		var both sync.WaitGroup
		both.Go(func() { toReceiver(t, sent) })
		both.Go(func() { toSender(t, sent) })
		both.Wait()
	})
}

func toReceiver(t *testing.T, sent []byte) {
	t.Helper()
	ours, theirs, err := handover.Pair()
	if err != nil {
		t.Error(err)
		return
	}
	defer ours.Close()
	r, err := handover.NewReceiver(nil, func(string, net.Conn, []byte) error {
		t.Error("a connection came without a descriptor")
		return errors.New("no")
	})
	if err != nil {
		t.Error(err)
		return
	}
	defer r.Close()
	if err := r.Add(theirs); err != nil {
		t.Error(err)
		return
	}
	exchange(t, ours, sent)
}

func toSender(t *testing.T, sent []byte) {
	t.Helper()
	ours, theirs, err := handover.Pair()
	if err != nil {
		t.Error(err)
		return
	}
	defer theirs.Close()
	theirs.Write(handover.AppendFrame(nil, handover.KindGroups, 0, []byte("[]")))
	s, err := handover.NewSender(ours)
	if err != nil {
		t.Error(err)
		return
	}
	defer s.Close()
	exchange(t, theirs, sent)
}

// exchange sends all, and reads until the other side has closed the channel.
func exchange(t *testing.T, f *os.File, sent []byte) {
	t.Helper()
	c, err := net.FileConn(f)
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	go func() {
		c.Write(sent)
		c.(*net.UnixConn).CloseWrite()
	}()
	if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the channel does not end")
	}
}

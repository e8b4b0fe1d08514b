//go:build unix

package handover_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/handover"
)

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
			r := receiver(t, func(key string, c net.Conn, state []byte) error {
				<-hold
				return got.take(key, c, state)
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
	s := connect(t, receiver(t, func(key string, c net.Conn, state []byte) error {
		asked.Add(1)
		<-hold
		return got.take(key, c, state)
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

// A connection is closed while its move waits for a receiver that does not read: Close does not wait with it, and
// what has not left yet stays here.
func TestCloseOfAConnectionDuringItsMove(t *testing.T) {
	s, r := fake(t)
	half, _, halfResult := moves(t, s, 1, func(int) []byte { return make([]byte, handover.MaxState) })
	first := make([]byte, 1)
	if _, err := io.ReadFull(r, first); err != nil { // it has begun, and does not fit
		t.Fatal(err)
	}
	behind, clients, results := moves(t, s, 5, name)
	for _, c := range append(half, behind...) {
		closed := make(chan error, 1)
		go func() { closed <- c.Close() }()
		if err := within(t, closed, "Close"); err != nil {
			t.Errorf("Close = %v", err)
		}
	}
	if _, err := clients[0].Read(first); !errors.Is(err, io.EOF) {
		t.Errorf("the client reads %v, want EOF", err)
	}
	if _, err := io.CopyN(io.Discard, r, handover.HeaderLen+int64(len("\x03web"))+handover.MaxState-1); err != nil {
		t.Fatal(err)
	}
	for range behind {
		if err := within(t, results, "Move"); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Move of what is closed = %v, want net.ErrClosed", err)
		}
	}
	r.say(t, handover.KindTaken, 1, "")
	if err := within(t, halfResult, "Move"); err != nil {
		t.Errorf("Move of what had left = %v", err)
	}
}

// A sender is stopped in the midst of a frame: whoever passes its channel on does not wait for it, and the connection stays with it.
func TestPassOnInTheMidstOfAFrame(t *testing.T) {
	ours, theirs := channel(t)
	got := newShelf(t)
	r := receiver(t, got.take)
	if err := r.Add(theirs); err != nil {
		t.Fatal(err)
	}
	frame := handover.AppendFrame(nil, handover.KindConn, 1, make([]byte, handover.MaxState))
	// More than the channel holds, so that some has been read when all but the end is written.
	if _, err := ours.Write(frame[:len(frame)-1]); err != nil {
		t.Fatal(err)
	}
	passed := make(chan struct{})
	go func() {
		r.PassOn(nil)
		close(passed)
	}()
	within(t, passed, "PassOn")
	if _, err := io.ReadAll(ours); err != nil { // the greeting, and the end
		t.Error(err)
	}
}

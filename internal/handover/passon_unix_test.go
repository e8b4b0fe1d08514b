//go:build unix

package handover_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/handover"
)

// chain is a line of generations: each has a receiver, and a sender to the next.
type chain struct {
	shelves   []*shelf
	receivers []*handover.Receiver
	senders   []*handover.Sender // senders[i] sends to receivers[i]
}

func newChain(t *testing.T, n int) *chain {
	t.Helper()
	c := new(chain)
	for range n {
		s := newShelf(t)
		r := receiver(t, s.take)
		c.shelves = append(c.shelves, s)
		c.receivers = append(c.receivers, r)
		c.senders = append(c.senders, connect(t, r))
	}
	return c
}

// clear returns what the generations have taken, each with its own.
func (c *chain) clear() (all [][]taken) {
	for _, s := range c.shelves {
		all = append(all, s.clear())
	}
	return all
}

// A generation is replaced while an older one still moves connections to it: each
// ends up once, with it or with its successor.
func TestPassOnDuringMoves(t *testing.T) {
	for _, generations := range []int{2, 3, 4} {
		t.Run(fmt.Sprintf("%d receivers", generations), func(t *testing.T) {
			counts := make([]int, generations)
			for range 50 {
				ok := t.Run("round", func(t *testing.T) {
					taken := passOnDuringMoves(t, generations)
					wantOnce(t, movesAtOnce, taken...)
					for i := range taken {
						counts[i] += len(taken[i])
					}
				})
				if !ok {
					return
				}
			}
			t.Logf("taken by each generation: %d", counts)
		})
	}
}

// movesAtOnce is how many connections are moved at the same time.
const movesAtOnce = 32

// passOnDuringMoves moves connections to the first of n receivers while each
// passes on to the next, all at the same time.
func passOnDuringMoves(t *testing.T, n int) [][]taken {
	t.Helper()
	c := newChain(t, n)
	start := make(chan struct{})
	var passing sync.WaitGroup
	for i := range n - 1 {
		passing.Go(func() {
			<-start
			c.receivers[i].PassOn(c.senders[i+1])
		})
	}
	_, _, results := moves(t, c.senders[0], movesAtOnce, func(i int) []byte {
		if i == movesAtOnce/4 {
			close(start)
		}
		long := 0
		if i%4 == 0 { // frames of which only a part fits into the channel
			long = rand.IntN(256 << 10)
		}
		return append(name(i), make([]byte, long)...)
	})
	for range movesAtOnce {
		if err := within(t, results, "Move"); err != nil {
			t.Errorf("Move = %v, want that somebody takes it", err)
		}
	}
	passing.Wait()
	return c.clear()
}

// What is moved after PassOn goes to the successor, whose keys count now.
func TestMoveAfterPassOn(t *testing.T) {
	c := newChain(t, 2)
	other, err := handover.NewReceiver([]string{"other"}, taker(c.shelves[1].take).at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.Close)
	c.receivers[0].PassOn(connect(t, other))
	server, client := pair(t, "tcp")
	if err := c.senders[0].Move("other", name(0), socket(t, server)); err != nil {
		t.Fatalf("Move = %v", err)
	}
	// The greeting of the new owner came before its first answer.
	if c.senders[0].Takes("web") || !c.senders[0].Takes("other") {
		t.Error("the keys are still those of the generation that passed on")
	}
	wantUsable(t, c.shelves[1].only(t).conn, client)
	if got := c.shelves[0].clear(); len(got) != 0 {
		t.Errorf("%d connections went to the old receiver", len(got))
	}
}

// Where nobody takes the channel, the oldest generation keeps what it has.
func TestPassOnToNobody(t *testing.T) {
	tests := []struct {
		name string
		to   func(t *testing.T) *handover.Sender
	}{
		{"no successor", func(*testing.T) *handover.Sender { return nil }},
		{"one that is gone", func(t *testing.T) *handover.Sender {
			t.Helper()
			r := receiver(t, newShelf(t).take)
			s := connect(t, r)
			r.Close()
			return s
		}},
		{"one that dies without an answer", func(t *testing.T) *handover.Sender {
			t.Helper()
			s, r := fake(t)
			go func() {
				r.Read(make([]byte, 1))
				r.Close()
			}()
			return s
		}},
		{"one that refuses", func(t *testing.T) *handover.Sender {
			t.Helper()
			s, r := fake(t)
			go func() {
				_, seq := r.next(t)
				r.say(t, handover.KindRefused, seq, "no")
			}()
			return s
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newChain(t, 1)
			c.receivers[0].PassOn(tt.to(t))
			server, client := pair(t, "tcp")
			if err := c.senders[0].Move("web", nil, socket(t, server)); !errors.Is(err, handover.ErrGone) {
				t.Errorf("Move = %v, want ErrGone", err)
			}
			wantUsable(t, server, client)
		})
	}
}

// The successor dies with Moves on their way to it: none is with two owners.
func TestPassOnToOneThatDies(t *testing.T) {
	for range 20 {
		t.Run("round", func(t *testing.T) {
			c := newChain(t, 2)
			var end sync.WaitGroup
			servers, clients, results := moves(t, c.senders[0], movesAtOnce, name)
			end.Go(func() {
				c.receivers[0].PassOn(c.senders[1])
				c.receivers[1].Close()
			})
			ok := countMoved(t, results, movesAtOnce)
			end.Wait()
			if n := len(slices.Concat(c.clear()...)); n != ok {
				t.Errorf("%d connections were taken, and %d Moves returned nil", n, ok)
			}
			for i := range servers {
				wantUsable(t, servers[i], clients[i])
			}
		})
	}
}

// countMoved counts the Moves of n that return nil. The others have to return
// ErrGone.
func countMoved(t *testing.T, results <-chan error, n int) (ok int) {
	t.Helper()
	for range n {
		switch err := within(t, results, "Move"); {
		case err == nil:
			ok++
		case !errors.Is(err, handover.ErrGone):
			t.Errorf("Move = %v, want nil or ErrGone", err)
		}
	}
	return ok
}

// A sender that is stopped in the midst of a frame holds up none of the others.
func TestPassOnBesideHalfAFrame(t *testing.T) {
	t.Cleanup(handover.WaitForRests(time.Hour))
	first := receiver(t, newShelf(t).take)
	var senders []*handover.Sender
	for range 8 {
		senders = append(senders, connect(t, first))
	}
	ours, theirs := channel(t)
	if err := first.Add(theirs); err != nil {
		t.Fatal(err)
	}
	frame := handover.AppendFrame(nil, handover.KindConn, 1, make([]byte, handover.MaxState))
	if _, err := ours.Write(frame[:len(frame)-1]); err != nil { // more than the channel holds: some of it has been read
		t.Fatal(err)
	}
	next, err := handover.NewReceiver([]string{"other"}, taker(newShelf(t).take).at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(next.Close)
	to := connect(t, next)
	passed := make(chan struct{})
	go func() {
		first.PassOn(to)
		close(passed)
	}()
	for i, s := range senders {
		for deadline := time.Now().Add(30 * time.Second); !s.Takes("other"); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("sender %d is not with the next receiver", i)
			}
		}
	}
	if err := ours.Close(); err != nil {
		t.Error(err)
	}
	within(t, passed, "PassOn")
}

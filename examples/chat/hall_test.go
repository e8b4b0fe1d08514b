package main

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// wantOut wants text to be what m has been promised since the last call.
func wantOut(t *testing.T, m *member, text string) {
	t.Helper()
	m.out.mu.Lock()
	defer m.out.mu.Unlock()
	if got := string(m.out.pending); got != text {
		t.Errorf("%s is to get %q, want %q", m.nick, got, text)
	}
	m.out.pending = nil
}

// old returns what members of one room take along from generation 1.
func old(nicks ...string) []state {
	h := newHall(1)
	var all []*member
	for _, nick := range nicks {
		m := h.enter()
		h.rename(m, nick)
		h.join(m, "go")
		m.out.pending = nil
		all = append(all, m)
	}
	var states []state
	for _, m := range all {
		states = append(states, h.state(m))
	}
	return states
}

// Those who are on their way are in the room already, and miss nothing.
func TestOnTheWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from := old("ann", "bob", "eve")
		h := newHall(2)
		early := h.enter()
		h.join(early, "go")
		h.say(early, "anyone?")
		ann := h.arrive(from[0])
		wantOut(t, ann, "guest2.1: anyone?\n")
		if got, want := whoLine(h.state(ann)), "* in go: ann bob eve guest2.1\n"; got != want {
			t.Errorf("who: %q, want %q", got, want)
		}
		h.say(ann, "one")
		wantOut(t, ann, "ann: one\n")
		from[1].Out = []byte("left over\n")
		bob := h.arrive(from[1])
		wantOut(t, bob, "left over\nguest2.1: anyone?\nann: one\n")
		if bob.heard != 2 || bob.moved != 1 {
			t.Errorf("bob heard %d, moved %d, want 2, 1", bob.heard, bob.moved)
		}
		h.leave(ann)
		eve := h.arrive(from[2]) // brings nobody back who has come and gone
		wantOut(t, eve, "guest2.1: anyone?\nann: one\n* ann has left\n")
		if got, want := whoLine(h.state(eve)), "* in go: bob eve guest2.1\n"; got != want {
			t.Errorf("who: %q, want %q", got, want)
		}
		time.Sleep(2 * transit)
		if got, want := whoLine(h.state(eve)), "* in go: bob eve guest2.1\n"; got != want {
			t.Errorf("who after a while: %q, want %q", got, want)
		}
	})
}

// Somebody says more than anybody who is on his way could be told.
func TestTooMuchIsSaidEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from := old("ann", "bob")
		h := newHall(2)
		ann := h.arrive(from[0])
		for range 4 * maxOut / 1000 {
			h.say(ann, strings.Repeat("x", 1000))
		}
		if r := h.rooms["go"]; r.length > maxOut || len(r.early) > maxOut/1000 {
			t.Errorf("%d lines of %d bytes are kept", len(r.early), r.length)
		}
		bob := h.arrive(from[1])
		if n := len(bob.out.pending); n > maxOut || n < maxOut-1100 {
			t.Errorf("%d bytes wait for whoever arrives", n)
		}
	})
}

func TestSomeoneDoesNotArrive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from := old("ann", "bob")
		h := newHall(2)
		ann := h.arrive(from[0])
		time.Sleep(transit - time.Second)
		synctest.Wait()
		wantOut(t, ann, "")
		time.Sleep(time.Second)
		synctest.Wait()
		wantOut(t, ann, "* bob has left\n")
		h.say(ann, "alone")
		if r := h.rooms["go"]; r.early != nil {
			t.Errorf("%q is kept for nobody", r.early)
		}
		bob := h.arrive(from[1]) // after all
		h.say(bob, "here")
		wantOut(t, ann, "ann: alone\nbob: here\n")
	})
}

func TestArriveInOldVersion(t *testing.T) {
	h := newHall(2)
	for i, want := range []string{"2.1", "2.2"} {
		s, err := decode([]byte(`{"v":1,"name":"ann","room":"go","lines":7}`))
		if err != nil {
			t.Fatal(err)
		}
		m := h.arrive(s)
		if m.id != want || m.nick != "ann" || m.said != 7 || len(h.rooms["go"].members) != i+1 {
			t.Errorf("%+v, want ann with ID %s in the room", m, want)
		}
	}
	m := h.arrive(restore([]byte("?")))
	if m.nick != "guest2.3" || m.room != "" || !strings.Contains(string(m.out.pending), "lost") {
		t.Errorf("%+v, want a guest who was told", m)
	}
}

// Nobody gets past hush before everybody is there, or gone.
func TestHush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(1)
		ann, bob, eve := h.enter(), h.enter(), h.enter()
		past := make(chan bool, 2)
		for _, m := range []*member{ann, bob} {
			go func() {
				h.hush(m)
				past <- true
			}()
		}
		synctest.Wait()
		if len(past) != 0 {
			t.Error("past hush while somebody talks")
		}
		h.leave(eve)
		synctest.Wait()
		if len(past) != 2 {
			t.Errorf("%d past hush, want 2", len(past))
		}
		h.leave(ann)
		late := h.enter()
		h.hush(late) // at once
	})
}

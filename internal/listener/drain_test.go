package listener_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
)

func TestDrainWithoutConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln, _ := inMemory(listener.Options{})
		for range 2 {
			if got := ln.Drain(t.Context()); got != (listener.Result{}) {
				t.Errorf("Drain = %+v, want zero", got)
			}
		}
	})
}

func TestDrainCountsHowConnectionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln, mem := inMemory(listener.Options{})
		before, _ := pair(t, ln, mem.Dial)
		before.Close()
		ends, _ := pair(t, ln, mem.Dial)
		pair(t, ln, mem.Dial)
		_, client := pair(t, ln, mem.Dial)
		go func() {
			time.Sleep(time.Second)
			ends.Close()
		}()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if got, want := ln.Drain(ctx), (listener.Result{Ended: 1, Cut: 2, Took: time.Minute}); got != want {
			t.Errorf("Drain = %+v, want %+v", got, want)
		}
		if got, want := ln.Stats(), (listener.Stats{Accepted: 4, Cut: 2}); got != want {
			t.Errorf("Stats = %+v, want %+v", got, want)
		}
		if _, err := client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("the client of a connection that was cut reads %v, want io.EOF", err)
		}
	})
}

// Between two moments connections came, moved, ended and were cut.
func TestStatsSince(t *testing.T) {
	before := listener.Stats{Open: 5, Parked: 1, Accepted: 100, In: 10, Out: 20, Cut: 1}
	for _, test := range []struct {
		now  listener.Stats
		want listener.Result
	}{
		{before, listener.Result{}},
		{listener.Stats{Open: 4, Accepted: 103, In: 12, Out: 23, Cut: 2}, listener.Result{Moved: 3, Cut: 1, Ended: 2}},
		{listener.Stats{Accepted: 100, In: 10, Out: 25, Cut: 1}, listener.Result{Moved: 5}},
		{listener.Stats{Open: 1, Accepted: 100, In: 10, Out: 20, Cut: 6}, listener.Result{Cut: 5}}, // one is being cut
	} {
		if got := test.now.Since(before); got != test.want {
			t.Errorf("%+v since %+v = %+v, want %+v", test.now, before, got, test.want)
		}
	}
}

func TestEarlierDeadlineCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln, mem := inMemory(listener.Options{})
		pair(t, ln, mem.Dial)
		late := make(chan listener.Result, 1)
		go func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			late <- ln.Drain(ctx)
		}()
		time.Sleep(time.Second)
		early, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if got, want := ln.Drain(early), (listener.Result{Cut: 1, Took: time.Minute}); got != want {
			t.Errorf("early Drain = %+v, want %+v", got, want)
		}
		if got, want := <-late, (listener.Result{Cut: 1, Took: time.Minute + time.Second}); got != want {
			t.Errorf("late Drain = %+v, want %+v", got, want)
		}
		if got := ln.Stats().Cut; got != 1 {
			t.Errorf("Stats().Cut = %d, want 1: it was one connection", got)
		}
	})
}

// A connection that does not heed the end of its input gets a second, and
// counts once, however many drains find it open.
func TestStubbornConnectionIsCutOnce(t *testing.T) {
	t.Parallel()
	ln := listener.New(raw(t, "tcp"), listener.Options{})
	_, client := pair(t, ln, to(ln))
	results := make(chan listener.Result, 2)
	for range cap(results) {
		go func() { results <- ln.Drain(expired()) }()
	}
	var took time.Duration // of the first of them: the other one may come any time later
	for range cap(results) {
		took = max(took, within(t, results, "Drain").Took)
	}
	if took < time.Second || took > 5*time.Second {
		t.Errorf("Drain took %v, want a second", took)
	}
	if got, want := ln.Stats(), (listener.Stats{Accepted: 1, Cut: 1}); got != want {
		t.Errorf("Stats = %+v, want %+v", got, want)
	}
	if _, err := client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the client reads %v, want io.EOF", err)
	}
}

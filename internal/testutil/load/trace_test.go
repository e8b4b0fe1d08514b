package load_test

import (
	"context"
	"errors"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
)

// told is a client whose answers are given.
type told struct{ replies []load.Reply }

func (c *told) Do(ctx context.Context) (load.Reply, error) {
	if len(c.replies) == 0 {
		<-ctx.Done()
		return load.Reply{}, context.Cause(ctx)
	}
	reply := c.replies[0]
	c.replies = c.replies[1:]
	time.Sleep(reply.Took)
	return reply, nil
}

func (*told) Close() error { return nil }

func TestTraceIsWhatIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := load.New(nil)
		l.Trace = true
		failing := newFake(time.Second)
		failing.fails = func(n int) error {
			if n%3 == 0 {
				return errors.New("lost")
			}
			return nil
		}
		l.Add("failing", 2, failing.make)
		l.Add("sound", 3, newFake(time.Second).make)
		l.Start(t.Context())
		time.Sleep(10 * time.Second)
		if got := l.Traced(); got != nil {
			t.Errorf("%d exchanges while clients run, want none", len(got))
		}
		if err := l.Stop(); err != nil {
			t.Fatal(err)
		}
		served := make(map[string]int)
		failed := make(map[string]int)
		for _, e := range l.Traced() {
			if e.Failed {
				failed[e.Kind]++
			} else if e.Generation == 1 {
				served[e.Kind]++
			}
		}
		for _, k := range l.Recorder().Snapshot().Kinds {
			if k.Requests == 0 || failed[k.Kind] != k.Failed || served[k.Kind] != k.Served[1] {
				t.Errorf("%s: %d failed and %d served, want %d and %d", k.Kind, failed[k.Kind], served[k.Kind], k.Failed, k.Served[1])
			}
		}
	})
}

func TestTraceLearnsGenerationOfProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := load.New(nil)
		l.Trace, l.StopTimeout = true, time.Second
		l.Add("lines", 1, func() (load.Client, error) {
			return &told{[]load.Reply{{PID: 7, Took: 1}, {PID: 8, Took: 1}, {PID: 9, Took: 1}}}, nil
		})
		l.Add("get", 1, func() (load.Client, error) {
			return &told{[]load.Reply{{PID: 7, Generation: 3, Took: 1}, {PID: 8, Generation: 4, Took: 1}}}, nil
		})
		l.Start(t.Context())
		time.Sleep(time.Second)
		_ = l.Stop() // cuts both, and says so
		got := make(map[int]int)
		for _, e := range l.Traced() {
			if e.Kind == "lines" && !e.Failed {
				got[e.PID] = e.Generation
			}
		}
		if want := map[int]int{7: 3, 8: 4, 9: 0}; !maps.Equal(got, want) {
			t.Errorf("generations by process: %v, want %v", got, want)
		}
	})
}

func TestNoTraceUnlessAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := load.New(nil)
		l.Add("sound", 1, newFake(time.Second).make)
		l.Start(t.Context())
		time.Sleep(3 * time.Second)
		if err := l.Stop(); err != nil {
			t.Fatal(err)
		}
		if got := l.Traced(); got != nil {
			t.Errorf("%d exchanges, want none", len(got))
		}
	})
}

package load_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
)

// fake is a client whose exchanges take some time of a synctest bubble.
type fake struct {
	takes     time.Duration
	deaf      bool // does not heed its context
	fails     func(n int) error
	exchanges *atomic.Int64
	opened    *atomic.Int64
	closed    *atomic.Int64
}

func newFake(takes time.Duration) *fake {
	return &fake{takes: takes, exchanges: new(atomic.Int64), opened: new(atomic.Int64), closed: new(atomic.Int64)}
}

func (f *fake) make() (load.Client, error) {
	f.opened.Add(1)
	return f, nil
}

func (f *fake) Do(ctx context.Context) (load.Reply, error) {
	n := int(f.exchanges.Add(1))
	done := ctx.Done()
	if f.deaf {
		done = nil
	}
	select {
	case <-time.After(f.takes):
	case <-done:
		return load.Reply{}, context.Cause(ctx)
	}
	if f.fails != nil {
		return load.Reply{}, f.fails(n)
	}
	return load.Reply{Generation: 1, PID: 1}, nil
}

func (f *fake) Close() error {
	f.closed.Add(1)
	return nil
}

func TestStopDoesNotCutExchangeInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(10 * time.Second)
		l := load.New(nil)
		l.Add("slow", 3, f.make)
		l.Start(t.Context())
		time.Sleep(12 * time.Second)
		start := time.Now()
		if err := l.Stop(); err != nil {
			t.Errorf("Stop = %v", err)
		}
		if took := time.Since(start); took != 8*time.Second {
			t.Errorf("Stop took %v, want the 8s that the exchanges had left", took)
		}
		s := l.Recorder().Snapshot().Total
		if s.Requests != 6 || s.Failed != 0 || s.P50 != 10*time.Second {
			t.Errorf("%+v, want 6 requests of 10s, none failed", s)
		}
		if f.opened.Load() != 3 || f.closed.Load() != 3 {
			t.Errorf("%d clients made, %d closed, want 3", f.opened.Load(), f.closed.Load())
		}
		if err := l.Stop(); err != nil {
			t.Errorf("second Stop = %v", err)
		}
	})
}

func TestEndOfContextDoesNotCutExchangeInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(10 * time.Second)
		l := load.New(nil)
		l.Add("slow", 1, f.make)
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
		defer cancel()
		l.Start(ctx)
		time.Sleep(time.Minute)
		if s := l.Recorder().Snapshot().Total; s.Requests != 2 || s.Failed != 0 {
			t.Errorf("%+v, want 2 requests, none failed", s)
		}
		if err := l.Stop(); err != nil {
			t.Errorf("Stop = %v", err)
		}
	})
}

func TestStopTimeoutIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := load.New(nil)
		l.StopTimeout = 7 * time.Second
		l.Add("hung", 2, newFake(time.Hour).make)
		l.Start(t.Context())
		time.Sleep(time.Second)
		err := l.Stop()
		if err == nil || err.Error() != "load: 2 exchanges had not ended 7s after Stop" {
			t.Errorf("Stop = %v", err)
		}
		s := l.Recorder().Snapshot().Kind("hung")
		if s.Failed != 2 || len(s.Errors) != 2 || s.Errors[0] != err.Error() {
			t.Errorf("%+v, want 2 failures that name the stop", s)
		}
	})
}

func TestStopReturnsAlthoughClientIsDeaf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(time.Hour)
		f.deaf = true
		l := load.New(nil)
		l.Add("deaf", 1, f.make)
		l.Start(t.Context())
		synctest.Wait()
		if err := l.Stop(); err == nil || !strings.Contains(err.Error(), "1 clients do not heed their context") {
			t.Errorf("Stop = %v", err)
		}
		time.Sleep(time.Hour)
	})
}

func TestFailedClientIsMadeAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(time.Second)
		f.fails = func(n int) error {
			if n%2 == 0 {
				return fmt.Errorf("failure %d", n)
			}
			return nil
		}
		l := load.New(nil)
		l.Add("fake", 1, f.make)
		l.Start(t.Context())
		time.Sleep(5500 * time.Millisecond)
		_ = l.Stop()
		s := l.Recorder().Snapshot().Kind("fake")
		if s.Requests != 6 || s.Failed != 3 || strings.Join(s.Errors, ",") != "failure 2,failure 4,failure 6" {
			t.Errorf("%+v, want every second of 6 failed", s)
		}
		if f.opened.Load() != 3 || f.closed.Load() != 3 {
			t.Errorf("%d clients made, %d closed, want 3", f.opened.Load(), f.closed.Load())
		}
	})
}

func TestClientThatCannotBeMadeIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := load.New(nil)
		l.Add("none", 1, func() (load.Client, error) { return nil, errors.New("no such thing") })
		l.Start(t.Context())
		time.Sleep(95 * time.Millisecond)
		_ = l.Stop()
		s := l.Recorder().Snapshot().Kind("none")
		if s.Requests != 10 || s.Failed != 10 || s.Errors[0] != "new client: no such thing" {
			t.Errorf("%+v, want 10 failures, 10ms apart", s)
		}
	})
}

func TestIntervalPacesClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(time.Second)
		l := load.New(nil)
		l.Interval = 10 * time.Second
		l.Add("fake", 2, f.make)
		l.Start(t.Context())
		for i, want := range []int64{1, 2, 3, 4} { // at 0s, 5s, 10s, 15s
			synctest.Wait()
			if got := f.exchanges.Load(); got != want {
				t.Errorf("after %ds: %d exchanges, want %d", 5*i, got, want)
			}
			time.Sleep(5 * time.Second)
		}
		start := time.Now()
		_ = l.Stop()
		if took := time.Since(start); took > time.Second {
			t.Errorf("Stop took %v, want no longer than the exchange in flight", took)
		}
	})
}

func TestLoadsShareRecorder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := new(load.Recorder)
		for _, kind := range []string{"b", "a"} {
			l := load.New(rec)
			l.Add(kind, 1, newFake(time.Second).make)
			l.Start(t.Context())
			defer func() { _ = l.Stop() }()
		}
		time.Sleep(1500 * time.Millisecond)
		s := rec.Snapshot()
		if len(s.Kinds) != 2 || s.Kinds[0].Kind != "b" || s.Total.Requests != 2 {
			t.Errorf("%+v, want b and a with one request each", s)
		}
	})
}

func TestStopBeforeStart(t *testing.T) {
	if err := load.New(nil).Stop(); err == nil {
		t.Error("Stop before Start = nil")
	}
}

func TestMisusePanics(t *testing.T) {
	l := load.New(nil)
	l.Start(t.Context())
	defer func() { _ = l.Stop() }()
	for name, misuse := range map[string]func(){
		"Start twice":     func() { l.Start(t.Context()) },
		"Add after Start": func() { l.Add("x", 1, nil) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s does not panic", name)
				}
			}()
			misuse()
		}()
	}
}

// All kinds at once against real servers, stopped in the middle: nothing fails,
// and the users who think do not hold up the stop.
func TestLoadOfAllKinds(t *testing.T) {
	plain := serveHTTP(t, "tcp", app())
	secure := serveHTTP(t, "tls", app())
	responder := serveFCGI(t, "unix")
	lines := serveLines(t)
	pool, err := load.NewHTTP2Pool(secure)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()

	l := load.New(nil)
	for kind, newClient := range httpClients {
		l.Add(kind, 2, func() (load.Client, error) { return newClient(plain) })
	}
	l.Add("thinking", 4, func() (load.Client, error) {
		return load.NewKeepAlive(secure, load.KeepAliveOptions{Think: time.Hour})
	})
	l.Add("http2", 2, func() (load.Client, error) { return load.NewHTTP2(secure, load.HTTP2Options{Pool: pool}) })
	l.Add("fastcgi", 2, func() (load.Client, error) { return load.NewFastCGI(responder, load.FastCGIOptions{KeepConn: true}) })
	l.Add("lines", 2, func() (load.Client, error) { return load.NewLines(lines, load.LinesOptions{}) })
	l.Interval = time.Millisecond
	l.Start(t.Context())
	time.Sleep(200 * time.Millisecond)
	start := time.Now()
	if err := l.Stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("Stop took %v", took)
	}
	var table strings.Builder
	_ = l.Recorder().WriteTable(&table)
	for _, s := range l.Recorder().Snapshot().Kinds {
		if s.Failed > 0 || s.Requests == 0 && s.Kind != "thinking" {
			t.Fatalf("kind %s:\n%s", s.Kind, table.String())
		}
	}
}

// A server that answers once per connection and then closes it: half of what
// the naive user sends is lost, the load goes on, and every loss is counted.
func TestLoadGoesOnAfterFailures(t *testing.T) {
	target := serveConns(t, func(_ int, conn net.Conn) { answerEcho(conn, bufio.NewReader(conn)) })
	l := load.New(nil)
	l.Timeout = 10 * time.Second
	l.Add("keepalive", 1, func() (load.Client, error) {
		return load.NewKeepAlive(target, load.KeepAliveOptions{})
	})
	l.Start(t.Context())
	for l.Recorder().Failed() < 3 {
		time.Sleep(time.Millisecond)
	}
	if err := l.Stop(); err != nil {
		t.Error(err)
	}
	s := l.Recorder().Snapshot().Kind("keepalive")
	if ok := s.Requests - s.Failed; ok < s.Failed || ok > s.Failed+1 || s.Reconnects != 0 {
		t.Errorf("%+v, want every second request failed, and no reconnect", s)
	}
}

func TestTimeoutBoundsExchangeButNotThinking(t *testing.T) {
	l := load.New(nil)
	l.Timeout = 30 * time.Millisecond
	target := hung(t)
	l.Add("get", 1, func() (load.Client, error) { return load.NewGet(target, load.GetOptions{}) })
	l.Add("thinking", 1, func() (load.Client, error) {
		return load.NewKeepAlive(target, load.KeepAliveOptions{Think: 1000 * time.Hour})
	})
	l.Start(t.Context())
	for l.Recorder().Failed() < 2 {
		time.Sleep(time.Millisecond)
	}
	_ = l.Stop()
	snap := l.Recorder().Snapshot()
	if get := snap.Kind("get"); !strings.Contains(get.Errors[0], "deadline exceeded") {
		t.Errorf("get: %q, want the deadline", get.Errors)
	}
	if n := snap.Kind("thinking").Requests; n != 0 {
		t.Errorf("the user who thinks has %d requests, want none", n)
	}
}

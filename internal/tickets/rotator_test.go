package tickets_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tickets"
)

func TestRotator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad := errors.New("bad")
		var used, failures atomic.Int32
		var fails atomic.Bool
		r, err := tickets.Start(nil, func(s []tickets.Secret) error {
			if used.Add(1); len(s) == 0 {
				t.Error("there is no secret")
			}
			if fails.Load() {
				return bad
			}
			return nil
		}, func(err error) {
			if failures.Add(1); !errors.Is(err, bad) {
				t.Errorf("failed with %v", err)
			}
		})
		if err != nil || used.Load() != 1 {
			t.Fatalf("Start = %v, and has used %d", err, used.Load())
		}
		days := func(n int) int32 {
			before := used.Load()
			time.Sleep(time.Duration(n) * 24 * time.Hour)
			synctest.Wait()
			return used.Load() - before
		}
		if n := days(3); n != 3 {
			t.Errorf("%d secrets in three days", n)
		}
		r.Stop()
		if n := days(3); n != 0 {
			t.Errorf("%d secrets after Stop", n)
		}
		fails.Store(true)
		r.Resume() // what is due is made at once
		if n := days(2); n < 2 || failures.Load() != n {
			t.Errorf("%d secrets in two days after Resume, and %d failures", n, failures.Load())
		}
		r.Stop()
		if _, err := tickets.Start(nil, func([]tickets.Secret) error { return bad }, nil); !errors.Is(err, bad) {
			t.Errorf("Start = %v", err)
		}
		(*tickets.Rotator)(nil).Stop()
		(*tickets.Rotator)(nil).Resume()
	})
}

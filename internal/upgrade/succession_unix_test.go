//go:build unix

package upgrade

import "testing"

// A failed upgrade takes no number, and one whose process has taken over keeps its own, also when that has died.
func TestSuccessionNumbers(t *testing.T) {
	t.Parallel()
	s := &succession{generation: 3}
	if got := s.next(); got != 4 {
		t.Errorf("the first successor is generation %d, want 4", got)
	}
	for _, want := range []int{4, 5} {
		s.offer(nil)
		if !s.commit(nil) || s.newest() != want || s.next() != want+1 {
			t.Errorf("generation %d has taken over, and %d is next, want %d and %d", s.newest(), s.next(), want, want+1)
		}
	}
}

func newTestStandby(t *testing.T) *standby {
	t.Helper()
	s, err := newStandby()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.release()
		_ = s.theirs.Close()
	})
	return s
}

func (s *standby) hear(t *testing.T, reports string) {
	t.Helper()
	if _, err := s.theirs.WriteString(reports); err != nil {
		t.Fatal(err)
	}
}

// What the successor has said is known from then on, also while it is being read.
func TestTakingOverIsNotMissed(t *testing.T) {
	t.Parallel()
	for i := range 2000 {
		s, err := newStandby()
		if err != nil {
			t.Fatal(err)
		}
		s.hear(t, "t")
		for range 50 {
			if !s.hasTaken() {
				t.Fatalf("round %d: it has not taken over", i)
			}
		}
		s.release()
		_ = s.theirs.Close()
	}
}

// Stop kills who is being started, and nobody who serves: it may come before or after this process has noted that.
func TestSuccessionStop(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		reports   string // by the successor
		before    func(s *succession, channel *standby)
		stops     bool // tableflip
		takesOver bool // afterwards, the successor
	}{
		{"without an upgrade", "", func(*succession, *standby) {}, true, false},
		{"while it starts", "", func(s *succession, c *standby) { s.offer(c) }, true, false},
		{"when it has said that it serves", "t", func(s *succession, c *standby) { s.offer(c) }, false, true},
		{"when that is noted", "t", func(s *succession, c *standby) { s.offer(c); s.commit(c); s.offer(nil) }, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, channel := &succession{generation: 1}, newTestStandby(t)
			channel.hear(t, tt.reports)
			tt.before(s, channel)
			serves := s.newest() > 0
			if got := s.stop(); got != tt.stops {
				t.Errorf("tableflip is stopped: %v, want %v", got, tt.stops)
			}
			if serves {
				return
			}
			if got := s.commit(channel); got != tt.takesOver {
				t.Errorf("the successor has taken over: %v, want %v", got, tt.takesOver)
			}
		})
	}
}

// A process that serves again can be stopped, also where Stop has come before it does.
func TestSuccessionSurvive(t *testing.T) {
	t.Parallel()
	for _, stopped := range []bool{false, true} {
		s, channel := &succession{generation: 1}, newTestStandby(t)
		s.offer(channel)
		s.commit(channel)
		s.offer(nil)
		if !s.standsBy() {
			t.Error("it does not stand by")
		}
		if stopped && s.stop() {
			t.Error("Stop kills a successor that serves")
		}
		called := false
		s.survive(func() { called = true })
		if called != stopped || s.standsBy() || !channel.released.Load() {
			t.Errorf("stopped %v: tableflip is stopped: %v, it stands by: %v", stopped, called, s.standsBy())
		}
		if !stopped && !s.stop() {
			t.Error("one that serves again is not stopped")
		}
	}
}

func TestEndStandbyOnce(t *testing.T) {
	t.Parallel()
	s, channel := &succession{generation: 1}, newTestStandby(t)
	s.commit(channel)
	if got := s.endStandby(); got != channel || s.standsBy() {
		t.Errorf("endStandby = %p, want %p", got, channel)
	}
	again := s.endStandby()
	if again != nil {
		t.Errorf("endStandby again = %p", again)
	}
	again.release() // nothing to release
}

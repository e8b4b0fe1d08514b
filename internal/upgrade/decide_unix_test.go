//go:build unix

package upgrade

import (
	"errors"
	"os"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// A parent that had no processor while its successor took over and ended knows from what that one has said whether its own successor
// serves by now. It finds all of it at the same time.
func TestDecideOnWhatHasEnded(t *testing.T) {
	for _, tt := range []struct {
		name, reports string
		lives         bool // and what has ended is a wrapper
		succeeded     bool
	}{
		{"it has been replaced", "tr", false, true},
		{"it has taken over and died", "t", false, false},
		{"it has died before", "", false, false},
		{"it has taken over, and its wrapper has ended", "t", true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for range 50 {
				s, err := newStandby()
				if err != nil {
					t.Fatal(err)
				}
				defer s.release()
				for _, b := range []byte(tt.reports) {
					if _, err := s.theirs.Write([]byte{b}); err != nil {
						t.Fatal(err)
					}
				}
				if !tt.lives {
					if err := s.theirs.Close(); err != nil {
						t.Fatal(err)
					}
				}
				ended := make(chan error, 1)
				ended <- errors.New("child pid=1 exited")
				a := &attempt{
					opts: &Options{}, succession: &succession{generation: 1}, dialogue: &dialogue{standby: s, identified: make(chan struct{})}, ended: ended,
				}
				a.patience.opts = a.opts
				close(a.dialogue.identified)
				if tt.lives {
					start, err := process.StartTime(os.Getpid())
					if err != nil {
						t.Fatal(err)
					}
					a.dialogue.pid.Store(int64(os.Getpid()))
					a.dialogue.startTime.Store(start)
				}
				if _, err := a.decide(); (err == nil) != tt.succeeded {
					t.Fatalf("the upgrade: %v", err)
				}
				if tt.lives && (a.succession.standby != s || len(a.ended) != 1) {
					t.Fatalf("it is not followed")
				}
				_ = s.theirs.Close()
			}
		})
	}
}

// A parent that stood still while its successor took over, and for longer than an upgrade may take, finds that its time is over and that it serves.
func TestDecideAfterStandingStill(t *testing.T) {
	for range 50 {
		s, err := newStandby()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.theirs.Write([]byte{saysTookOver}); err != nil {
			t.Fatal(err)
		}
		<-s.took
		a := &attempt{
			opts: &Options{Timeout: time.Nanosecond}, succession: &succession{generation: 1}, dialogue: &dialogue{standby: s}, ended: make(chan error, 1),
		}
		a.patience = patience{opts: a.opts, asked: true, probation: true} // next, it would be killed
		if _, err := a.decide(); err != nil || a.succession.standby != s {
			t.Fatalf("the upgrade: %v", err)
		}
		s.release()
		_ = s.theirs.Close()
	}
}

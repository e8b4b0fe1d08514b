//go:build unix

package upgrade

import (
	"errors"
	"testing"
)

// A parent that had no processor while its successor took over and ended knows from what that one has said whether its own successor
// serves by now. It finds all of it at the same time.
func TestDecideOnWhatHasEnded(t *testing.T) {
	for _, tt := range []struct {
		name, reports string
		succeeded     bool
	}{
		{"it has been replaced", "tr", true},
		{"it has taken over and died", "t", false},
		{"it has died before", "", false},
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
				if err := s.theirs.Close(); err != nil {
					t.Fatal(err)
				}
				ended := make(chan error, 1)
				ended <- errors.New("child pid=1 exited")
				a := &attempt{
					opts: &Options{}, succession: &succession{generation: 1}, dialogue: &dialogue{standby: s}, ended: ended,
				}
				if _, err := a.decide(); (err == nil) != tt.succeeded {
					t.Fatalf("the upgrade: %v", err)
				}
			}
		})
	}
}

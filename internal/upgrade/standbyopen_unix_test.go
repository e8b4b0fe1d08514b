//go:build unix

package upgrade

import (
	"errors"
	"testing"
	"time"
)

// The channel may be open when the successor's process has ended: then it matters who has it.
func TestChannelOutlivesTheSuccessor(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		says  string
		gone  bool
		waits bool // for the channel's end
	}{
		{"its successor has it", "th", true, true}, // this process, so it must not be killed: it has an hour
		{"its successor has failed", "th" + "n", true, false},
		{"nobody has", "t", true, false},
		{"what has ended is a wrapper", "t", false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, err := newStandby()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.theirs.WriteString(tt.says); err != nil {
				t.Fatal(err)
			}
			<-s.took
			ended := make(chan error, 1)
			ended <- errors.New("killed")
			decided := make(chan error, 1)
			a := &attempt{opts: &Options{Timeout: time.Hour}, bootstrap: newTestConn(t), dialogue: &dialogue{standby: s}, ended: ended}
			if tt.gone {
				a.dialogue.pid.Store(1)
				a.dialogue.startTime.Store(1 << 62)
			}
			go func() {
				died, _ := a.outcome()
				decided <- died
			}()
			if tt.waits {
				select {
				case died := <-decided:
					t.Errorf("the channel is open, and the outcome is %v", died)
				case <-time.After(successorWait + time.Second): // the thing itself is that nothing happens
				}
				_ = s.theirs.Close()
			}
			if died := <-decided; died == nil {
				t.Error("it has not died")
			}
			_ = s.theirs.Close()
		})
	}
}

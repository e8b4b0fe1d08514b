package supervise_test

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fdpass"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/supervise"
)

// What has been said while the supervisor stood still is heard: by the clock the time for that is over when it goes on, and it
// would take the end of a generation for the end of the daemon.
func TestHearsAfterStandingStill(t *testing.T) {
	ours, theirs, err := supervise.NewChannel()
	must(t, err)
	out, err := fdpass.Number(theirs)
	must(t, err)
	inbox, err := supervise.OpenInbox(ours, 0)
	must(t, err)
	const wait = 10 * time.Millisecond
	for range 20 { // which of the two it finds first, the message or the end of the time, is chance
		turn := supervise.NewAllowance(wait)
		must(t, unix.Sendmsg(out, []byte("x"), nil, nil, 0))
		time.Sleep(2 * wait) // stands for SIGSTOP
		if n, _ := inbox.Drain(turn, nil); n != 1 {
			t.Fatalf("%d messages have been heard, want 1", n)
		}
	}
	inbox.Close()
	must(t, theirs.Close())
}

// A reader that brings nothing is waited for as long as it says.
func TestAllowanceHasAnEnd(t *testing.T) {
	inbox := openBlocked(t)
	began := time.Now()
	if n, _ := inbox.Drain(supervise.NewAllowance(time.Second), nil); n != 0 || time.Since(began) < time.Second || time.Since(began) > limit/2 {
		t.Errorf("%d messages have been heard in %v of a second", n, time.Since(began))
	}
}

package daemontest

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
)

// AwaitEnd waits until a generation is gone, and with it the last answers that it
// gives.
func AwaitEnd(t *testing.T, s *process.State) {
	t.Helper()
	Await(t, fmt.Sprintf("end of pid %d", s.PID), func() bool {
		daemon.ReapProcess(s.PID)
		p, err := process.Open(s.PID, s.StartTime)
		if err == nil {
			p.Close()
		}
		return err != nil
	})
}

// AwaitLog waits until the daemon has logged something.
func AwaitLog(t *testing.T, d *daemon.Daemon, text string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !strings.Contains(d.LogText(), text); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the daemon has not logged %q after 30 s", text)
		}
	}
}

// AwaitMoved waits until a generation that has been replaced has no connection in these groups any more: all have moved, or ended. Its process
// stands by for some seconds more.
func AwaitMoved(t *testing.T, d *daemon.Daemon, generation int, groups ...string) {
	t.Helper()
	for _, group := range groups {
		drained := regexp.MustCompile(fmt.Sprintf(`msg="drain finished" generation=%d pid=\d+ group=%s `, generation, group))
		Await(t, fmt.Sprintf("end of the drain of generation %d in %s", generation, group), func() bool { return drained.MatchString(d.LogText()) })
	}
}

// WaitAlive waits until just n generations live.
func WaitAlive(t *testing.T, d *daemon.Daemon, n int, limit time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	return d.WaitAlive(ctx, n)
}

// Await waits until done.
func Await(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("no %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

package programs

import (
	"strings"
	"syscall"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
)

// TestProgramReturnsAtTERM: its own handler is as fast as gozd's, which waits for the client. That is cut, and files stay.
func TestProgramReturnsAtTERM(t *testing.T) {
	t.Parallel()
	d := prepareOverlapping(t, "SIGTERM ends main", patientGroup)
	start(t, d)
	conn := dialLine(t, d)
	one := strike(t, d, syscall.SIGTERM)
	wantCut(t, conn)
	wantNobody(t, d, one)
}

// TestProgramHandlesHUP beside the upgrade, in the process that is replaced.
func TestProgramHandlesHUP(t *testing.T) {
	t.Parallel()
	d := prepareOverlapping(t, "SIGHUP is noted", lineGroup)
	start(t, d)
	k := startTalk(t, d, "hello")
	daemontest.UpgradeByHUP(t, d)
	awaitNotes(t, d, "hups", "1\n")
	daemontest.UpgradeByHUP(t, d)
	awaitNotes(t, d, "hups", "1\n2\n")
	k.more(t)
	k.end()
}

// TestProgramExitsAtHUP: its clients are cut. Whether the upgrade had begun already, so that somebody serves, is chance.
func TestProgramExitsAtHUP(t *testing.T) {
	t.Parallel()
	d := prepareOverlapping(t, "SIGHUP exits", lineGroup)
	start(t, d)
	conn := dialLine(t, d)
	one := strike(t, d, syscall.SIGHUP)
	wantCut(t, conn)
	daemontest.Await(t, "generation 2, or nobody", func() bool {
		r, err := process.Find(d.PIDFile)
		if err == nil {
			defer r.Close()
			_, _ = d.State() // it ends with the test
			return r.PID != one.PID
		}
		return len(daemontest.ProcessesOf(t, d)) == 0
	})
}

// TestProgramIgnoresHUP: it does nothing, each generation says so once, and the control socket upgrades.
func TestProgramIgnoresHUP(t *testing.T) {
	t.Parallel()
	d := prepareOverlapping(t, "SIGHUP is ignored", lineGroup)
	start(t, d)
	k := startTalk(t, d, "hello")
	for generation := 1; generation <= 2; generation++ {
		const ignored = `msg="the program ignores a signal: the daemon cannot be asked by it"`
		daemontest.Await(t, ignored, func() bool { return strings.Count(d.LogText(), ignored) == generation })
		daemontest.SignalServing(t, d, syscall.SIGHUP)
		k.more(t)
		wantServing(t, d, generation)
		daemontest.Upgrade(t, d)
	}
	if s := now(t, d); s.Generation != 3 {
		t.Errorf("generation %d serves, want 3", s.Generation)
	}
	k.end()
}

// TestProgramResetsSignals, so that they kill it.
func TestProgramResetsSignals(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			d := prepareOverlapping(t, "signals are reset", patientGroup)
			start(t, d)
			conn := dialLine(t, d)
			one := strike(t, d, sig)
			wantCut(t, conn)
			if log := d.LogText(); strings.Contains(log, "ignores") || strings.Contains(log, "asked by a signal") {
				t.Errorf("gozd has seen something:\n%s", log)
			}
			wantNobody(t, d, one)
		})
	}
}

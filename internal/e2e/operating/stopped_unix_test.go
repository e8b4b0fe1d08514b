//go:build unix

package operating

import (
	"slices"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
)

// TestMaxGenerationsIsABound keeps a connection in each generation, for longer than the test takes. The third upgrade and those after it end the
// oldest, and one that is stopped is killed. No more than one above the bound ever lives: upgrades follow each other without a pause. An upgrade that
// fails ends nobody.
func TestMaxGenerationsIsABound(t *testing.T) {
	d := daemontest.Start(t, "[line]\nmode tcp\nlisten 127.0.0.1:0\nstop_timeout 100ms\n", "max_generations 3")
	for n := range 6 {
		holdLine(t, d)
		daemontest.Upgrade(t, d)
		if alive := d.Alive(); len(alive) > 4 {
			t.Errorf("after upgrade %d %d generations live, want 3 at most and the new one", n+1, len(alive))
		}
	}
	three := func() bool { return len(d.Alive()) == 3 }
	daemontest.Await(t, "the bound", three)
	before := d.Alive()
	daemontest.UpgradeToCrash(t, d, "panic")
	same := func(a, b process.State) bool { return a.PID == b.PID }
	if after := d.Alive(); !slices.EqualFunc(after, before, same) {
		t.Errorf("%d of %d generations live after an upgrade that failed", len(after), len(before))
	}
	if err := daemon.Install(binaries.Mixed(t), d.Binary); err != nil {
		t.Fatal(err)
	}
	holdLine(t, d)
	oldest := d.Alive()[0]
	if err := daemon.Freeze(oldest.PID); err != nil {
		t.Fatal(err)
	}
	daemontest.Upgrade(t, d)
	daemontest.Await(t, "the bound", three)
	if alive := d.Alive(); alive[0].PID == oldest.PID {
		t.Error("the generation that was stopped lives")
	}
	daemontest.AwaitLog(t, d, `msg="the oldest generation has not ended: it is killed"`)
}

// TestStopBesideAStoppedParent stops a daemon whose older generation does not run and so has not seen that it was replaced.
func TestStopBesideAStoppedParent(t *testing.T) {
	d := daemontest.Start(t, "[line]\nmode tcp\nlisten 127.0.0.1:0\nstop_timeout 100ms\n", "probation 500ms")
	old, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	daemontest.BeginTrial(t, d)
	if err := daemon.Freeze(old.PID); err != nil {
		t.Fatal(err)
	}
	daemontest.Await(t, "generation 2 serves", func() bool { s, err := d.State(); return err == nil && s.Generation == 2 })
	s, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	signal(t, s, syscall.SIGTERM)
	daemontest.AwaitEnd(t, s)
	if took := time.Since(began); took > 20*time.Second { // upgrade_timeout is a minute
		t.Errorf("the stop took %v", took)
	}
	signal(t, old, syscall.SIGCONT)
	if err := daemontest.WaitAlive(t, d, 0, 20*time.Second); err != nil {
		t.Error(err)
	}
}

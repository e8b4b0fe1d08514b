package programs

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/runfiles"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

func startTicking(t *testing.T, options ...string) *daemon.Daemon {
	t.Helper()
	d := daemontest.Prepare(t, binaries.Ticking(t), lineGroup, options...)
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	awaitTick(t, d, 1)
	return d
}

// tick is a line of the program ticking.
type tick struct {
	at         time.Time
	generation int
	what       string
}

func (k tick) begins() bool  { return k.what == "begins" }
func (k tick) returns() bool { return strings.HasPrefix(k.what, "returns") }

// ticks are all lines so far. The program appends each by one call.
func ticks(t *testing.T, d *daemon.Daemon) []tick {
	t.Helper()
	var all []tick
	for line := range strings.Lines(notes(t, d, "ticks")) {
		var nanos int64
		var k tick
		if _, err := fmt.Sscan(line, &nanos, &k.generation); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		k.at = time.Unix(0, nanos)
		k.what = strings.TrimSpace(strings.SplitN(line, " ", 3)[2])
		all = append(all, k)
	}
	return all
}

// awaitTick waits until the last line is a generation's, and no beginning.
func awaitTick(t *testing.T, d *daemon.Daemon, generation int) {
	t.Helper()
	daemontest.Await(t, fmt.Sprintf("tick of generation %d", generation), func() bool {
		all := ticks(t, d)
		return len(all) > 0 && all[len(all)-1].generation == generation && all[len(all)-1].what == "ticks"
	})
}

// awaitMoreTicks waits until there are some more, all of the generation.
func awaitMoreTicks(t *testing.T, d *daemon.Daemon, generation int) {
	t.Helper()
	before := len(ticks(t, d))
	daemontest.Await(t, "ticks", func() bool { return len(ticks(t, d)) >= before+5 })
	for _, k := range ticks(t, d)[before:] {
		if k.generation != generation || k.what != "ticks" {
			t.Errorf("generation %d %s, want ticks of generation %d only", k.generation, k.what, generation)
		}
	}
}

// wantOneAtATime checks that a generation begins when the one before has returned, or was killed, and that no other says anything until it
// returns. It returns the times in which none was in its run, after one that has returned.
func wantOneAtATime(t *testing.T, all []tick, killed ...int) (gaps []time.Duration) {
	t.Helper()
	active, last := 0, tick{}
	for i, k := range all {
		switch {
		case k.begins() && (active == 0 || slices.Contains(killed, active)):
			if last.returns() {
				gaps = append(gaps, k.at.Sub(last.at))
			}
			active = k.generation
		case k.begins() || k.generation != active:
			t.Fatalf("line %d: generation %d %s, and generation %d is in its run", i, k.generation, k.what, active)
		case k.returns():
			active = 0
		}
		last = k
	}
	return gaps
}

// TestOnlyOverUpgradesAndKills upgrades 20 times, and kills every fourth successor: the generation before it begins again.
func TestOnlyOverUpgradesAndKills(t *testing.T) {
	d := startTicking(t)
	const upgrades = 20
	var killed []int
	for i := 1; i <= upgrades; i++ {
		before, err := d.State()
		if err != nil {
			t.Fatal(err)
		}
		daemontest.Upgrade(t, d)
		now, err := d.State()
		if err != nil {
			t.Fatal(err)
		}
		if i%8 != 4 { // else it is killed about when it begins
			awaitTick(t, d, now.Generation)
		}
		if i%4 == 0 {
			killed = append(killed, strike(t, d, syscall.SIGKILL).Generation)
			awaitServing(t, d, before.Generation)
			awaitTick(t, d, before.Generation)
		}
	}
	gaps := wantOneAtATime(t, ticks(t, d), killed...)
	slices.Sort(gaps)
	t.Logf("%d ticks; between two generations %v, %v at the most", len(ticks(t, d)), gaps[len(gaps)/2], gaps[len(gaps)-1])
	if half := gaps[len(gaps)/2]; len(killed) != 5 || half >= 100*time.Millisecond {
		t.Errorf("%d were killed, want 5; half of the gaps are %v or longer, want less than 100 ms", len(killed), half)
	}
}

// TestOnlyOverRollbacks: during a probation, and after it has failed, the parent's ticker goes on as if nothing were.
func TestOnlyOverRollbacks(t *testing.T) {
	d := startTicking(t, "probation 1h")
	for range 5 {
		probation, outcome := daemontest.BeginTrial(t, d)
		awaitMoreTicks(t, d, 1)
		if _, err := d.Rollback(t.Context()); err != nil {
			t.Error(err)
		}
		daemontest.WantRolledBack(t, d, probation, outcome, "rolled back on request")
		awaitMoreTicks(t, d, 1)
	}
	if all := ticks(t, d); slices.IndexFunc(all[1:], tick.begins) >= 0 {
		t.Error("a run has begun at a rollback")
	}
}

// TestOnlyAfterProbation kills the generation that serves while its successor is on probation, which then begins.
func TestOnlyAfterProbation(t *testing.T) {
	d := startTicking(t, "probation 1h")
	next, outcome := daemontest.BeginTrial(t, d)
	strike(t, d, syscall.SIGKILL)
	t.Logf("the upgrade: %v", <-outcome) // whoever has asked finds the successor, or not
	awaitServing(t, d, next.Generation)
	if _, err := d.State(); err != nil { // it ends with the test
		t.Fatal(err)
	}
	awaitTick(t, d, next.Generation)
	wantOneAtATime(t, ticks(t, d), 1)
}

// holdRuns has runs go on that should end, until the function is called.
func holdRuns(t *testing.T, d *daemon.Daemon) (release func()) {
	t.Helper()
	path := filepath.Join(d.Dir, "hold")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

// TestOnlyWaitsForARun that does not end. Of the generations that wait the last one begins.
func TestOnlyWaitsForARun(t *testing.T) {
	d := startTicking(t)
	release := holdRuns(t, d)
	daemontest.Upgrade(t, d)
	awaitMoreTicks(t, d, 1)
	daemontest.Upgrade(t, d)
	awaitMoreTicks(t, d, 1)
	daemontest.AwaitLog(t, d, `msg="run of Only waits: that of another generation has not returned" generation=3 `)
	release()
	awaitTick(t, d, 3)
	wantOneAtATime(t, ticks(t, d))
	if returned := slices.ContainsFunc(ticks(t, d), func(k tick) bool {
		return k.generation == 1 && k.what == "returns: gozd: this generation has been replaced"
	}); !returned {
		t.Error("the run of generation 1 does not know that it was replaced")
	}
}

// TestOnlyIsFreedByTheKernel kills a generation whose run does not end.
func TestOnlyIsFreedByTheKernel(t *testing.T) {
	d := startTicking(t)
	one, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	release := holdRuns(t, d)
	daemontest.Upgrade(t, d)
	awaitMoreTicks(t, d, 1)
	signalState(t, one, syscall.SIGKILL)
	awaitTick(t, d, 2)
	release()
	wantOneAtATime(t, ticks(t, d), 1)
}

// TestOnlyAtAResume has a generation serve again whose run has not returned yet: it serves all the same, and begins when it can.
func TestOnlyAtAResume(t *testing.T) {
	d := startTicking(t)
	release := holdRuns(t, d)
	daemontest.Upgrade(t, d)
	strike(t, d, syscall.SIGKILL)
	awaitServing(t, d, 1)
	awaitMoreTicks(t, d, 1)
	release()
	daemontest.Await(t, "second run of generation 1", func() bool { return slices.IndexFunc(ticks(t, d)[1:], tick.begins) >= 0 })
	awaitTick(t, d, 1)
	wantOneAtATime(t, ticks(t, d))
	if gaps := wantOneAtATime(t, ticks(t, d)); len(gaps) != 1 {
		t.Errorf("%d runs have followed another, want 1", len(gaps))
	}
}

// TestOnlyWithAnotherPIDFile has generations of two PID files wait for each other, although one of the younger ones has that of its parent.
func TestOnlyWithAnotherPIDFile(t *testing.T) {
	d := startTicking(t)
	release := holdRuns(t, d)
	movePIDFile(t, d)
	d.PIDFile = filepath.Join(d.Dir, "moved.pid")
	conf, err := os.ReadFile(d.Conf)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(d.Conf, []byte(strings.Replace(string(conf), "pidfile app.pid", "pidfile moved.pid", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	awaitMoreTicks(t, d, 1)
	daemontest.Upgrade(t, d)
	awaitMoreTicks(t, d, 1)
	release()
	awaitTick(t, d, 3)
	wantOneAtATime(t, ticks(t, d))
}

// TestOnlyLeavesNothing stops a daemon, and starts it again where a killed one, or one whose run does not end, has left a file.
func TestOnlyLeavesNothing(t *testing.T) {
	d := startTicking(t)
	path := runfiles.OnlyPath(d.PIDFile, "tick")
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("the file is %v, %v, want one of mode 0600", info, err)
	}
	strike(t, d, syscall.SIGKILL)
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	daemontest.Await(t, "second begin", func() bool { return slices.IndexFunc(ticks(t, d)[1:], tick.begins) >= 0 })
	awaitTick(t, d, 1)
	release := holdRuns(t, d)
	if err := d.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	release()
	daemontest.AwaitLog(t, d, `msg="a run of Only has not returned" generation=1 `)
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	daemontest.Await(t, "third begin", func() bool {
		return len(slices.DeleteFunc(ticks(t, d), func(k tick) bool { return !k.begins() })) == 3
	})
	awaitTick(t, d, 1)
	if err := d.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	all := ticks(t, d)
	if last := all[len(all)-1]; last.what != "returns: context canceled" {
		t.Errorf("at the stop the run %s, want that it returns, and that it was not replaced", last.what)
	}
	if left, err := filepath.Glob(d.PIDFile + "*"); err != nil || len(left) > 0 {
		t.Errorf("%v, %v are left", left, err)
	}
}

// TestOnlyOfTheServicesUser has root start the daemon: the file is its user's, and nobody else can open it.
func TestOnlyOfTheServicesUser(t *testing.T) {
	require.Root(t)
	d := daemontest.Prepare(t, binaries.Ticking(t), lineGroup, "user nobody")
	daemontest.GiveAway(t, d)
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	awaitTick(t, d, 1)
	nobody, err := process.LookupUser("nobody")
	if err != nil {
		t.Fatal(err)
	}
	for generation := 2; generation <= 3; generation++ {
		daemontest.Upgrade(t, d)
		awaitTick(t, d, generation)
		info, err := os.Stat(runfiles.OnlyPath(d.PIDFile, "tick"))
		if err != nil {
			t.Fatal(err)
		}
		if uid := int(info.Sys().(*syscall.Stat_t).Uid); uid != nobody || info.Mode() != 0o600 {
			t.Errorf("the file is of mode %v and user %d, want 0600 and %d", info.Mode(), uid, nobody)
		}
	}
	wantOneAtATime(t, ticks(t, d))
}

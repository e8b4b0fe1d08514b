package e2e

import (
	"errors"
	"os"
	"strconv"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
)

const (
	// stormEnv is the variable that says how often a storm upgrades.
	stormEnv = "GOZD_STORM"

	// stormDefault keeps ordinary runs of the tests short.
	stormDefault = 40

	// stormRhythm is the time from one upgrade to the next. If one takes longer,
	// the next follows at once.
	stormRhythm = 250 * time.Millisecond

	// nginxKeeps is the size of nginx's pool of connections, which are still open
	// when the clients have gone.
	nginxKeeps = 4
)

// TestStorm upgrades without a rest under clients of every kind.
func TestStorm(t *testing.T) {
	storm(t, func(_ int, d *daemon.Daemon) { upgradeToOther(t, d) })
}

// crashes are the faults with which a program ends by itself. One that hangs would
// have the storm wait for upgrade_timeout.
var crashes = []string{"exit early", "exit", "panic early", "panic", "panic in a goroutine"}

// TestStormWithCrashes is TestStorm with a new binary that crashes in every third
// upgrade: that one fails, and nothing else happens.
func TestStormWithCrashes(t *testing.T) {
	t.Setenv("GORACE", "atexit_sleep_ms=0") // the race detector sleeps a second at the end
	storm(t, func(n int, d *daemon.Daemon) {
		if n%3 == 0 {
			upgradeToCrash(t, d, crashes[n/3%len(crashes)])
			return
		}
		upgradeToOther(t, d)
	})
}

// storm upgrades as often as the environment says; upgrade does number n of them,
// from 1. In the end there is one generation, which holds what the first one held,
// and no client has noticed anything.
func storm(t *testing.T, upgrade func(n int, d *daemon.Daemon)) {
	t.Helper()
	upgrades := stormLength(t)
	// Connections that cannot move keep their generations until the end.
	d := start(t, stormGroups, "max_generations 64")
	first := measure(t, d)
	servers := newStormServers(t, d)
	l := newStormLoad(servers)
	l.Start(t.Context())
	awaitExchanges(t, l.Recorder(), 1)

	began, tick := time.Now(), time.NewTicker(stormRhythm)
	defer tick.Stop()
	for n := range upgrades {
		<-tick.C
		upgrade(n+1, d)
	}
	took := time.Since(began)

	awaitExchanges(t, l.Recorder(), 1)
	if err := l.Stop(); err != nil {
		t.Error(err)
	}
	_ = servers.pool.Close()
	t.Logf("%d upgrades in %v\n%s", upgrades, took.Round(time.Millisecond), stormTable(l.Recorder().Snapshot()))
	wantCalm(t, d, l.Recorder())
	wantQuietNginx(t, servers.nginx)
	wantNoMore(t, d, usage{first.descriptors + nginxKeeps, first.goroutines + nginxKeeps})
}

func stormLength(t *testing.T) int {
	t.Helper()
	text := os.Getenv(stormEnv)
	if text == "" {
		return stormDefault
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("$%s is %q, want a number of upgrades", stormEnv, text)
	}
	return n
}

// upgradeToOther installs the other one of two versions and upgrades to it.
func upgradeToOther(t *testing.T, d *daemon.Daemon) {
	t.Helper()
	before, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	version := []string{programs.mixed, programs.mixed2}[before.Generation%2]
	if err := daemon.Install(version, d.Binary); err != nil {
		t.Fatal(err)
	}
	up, err := d.Upgrade(t.Context())
	if err != nil {
		t.Fatalf("upgrade from generation %d: %v", before.Generation, err)
	}
	if up.New.Generation != before.Generation+1 {
		t.Errorf("generation %d follows generation %d", up.New.Generation, before.Generation)
	}
}

// upgradeToCrash installs a program that crashes and upgrades to it in vain.
func upgradeToCrash(t *testing.T, d *daemon.Daemon, name string) {
	t.Helper()
	before, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	fault(name)(t, d)
	_, err = d.Upgrade(t.Context())
	failed := new(control.FailedError)
	if !errors.As(err, &failed) || failed.PID != before.PID {
		t.Fatalf("%s: upgrade returned %v, want a failure that pid %d outlives", name, err, before.PID)
	}
	if pid, err := process.ReadPID(d.PIDFile); err != nil || pid != before.PID {
		t.Errorf("%s: the PID file names %d, %v, want %d", name, pid, err, before.PID)
	}
}

// wantCalm checks that every exchange was answered, by a generation that there has
// been, and that who can keep a connection kept it. It does not ask every generation
// to have answered: how many requests there are in its time is up to the machine.
func wantCalm(t *testing.T, d *daemon.Daemon, rec *load.Recorder) {
	t.Helper()
	wantNoneFailed(t, rec)
	last, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	snap := rec.Snapshot()
	answers := 0
	for g, n := range snap.Total.Served {
		answers += n
		if g > last.Generation {
			t.Errorf("generation %d answered %d times; it was not there", g, n)
		}
	}
	if answers != snap.Total.Requests {
		t.Errorf("%d answers to %d requests", answers, snap.Total.Requests)
	}
	for _, kind := range stormKinds {
		s := snap.Kind(kind.name)
		if kind.keeps && (s.Connections != kind.clients || s.Reconnects != 0) {
			t.Errorf("%s: %d clients used %d connections, %d of them planned", s.Kind, kind.clients, s.Connections, s.Reconnects)
		}
	}
}

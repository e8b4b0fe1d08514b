package endurance

import (
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/front"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loadtest"
)

// nginxKeeps is the size of nginx's pool of connections, which are still open
// when the clients have gone.
const nginxKeeps = 4

// TestStorm upgrades without a rest under clients of every kind.
func TestStorm(t *testing.T) {
	storm(t, func(_ int, d *daemon.Daemon) { daemontest.UpgradeToOther(t, d) })
}

// TestStormWithCrashes is TestStorm with a new binary that crashes in every third
// upgrade: that one fails, and nothing else happens.
func TestStormWithCrashes(t *testing.T) {
	t.Setenv("GORACE", "atexit_sleep_ms=0") // the race detector sleeps a second at the end
	storm(t, func(n int, d *daemon.Daemon) {
		if n%3 == 0 {
			daemontest.UpgradeToCrash(t, d, daemontest.Crashes[n/3%len(daemontest.Crashes)])
			return
		}
		daemontest.UpgradeToOther(t, d)
	})
}

// storm upgrades as often as the environment says; upgrade does number n of them,
// from 1. In the end there is one generation, which holds what the first one held,
// and no client has noticed anything.
func storm(t *testing.T, upgrade func(n int, d *daemon.Daemon)) {
	t.Helper()
	upgrades := loadtest.StormLength(t)
	// Connections that cannot move keep their generations until the end.
	d := daemontest.Start(t, stormGroups, "max_generations 64")
	first := daemontest.Measure(t, d)
	servers := newStormServers(t, d)
	l := newStormLoad(servers)
	l.Start(t.Context())
	loadtest.AwaitExchanges(t, l.Recorder(), 1)

	began, tick := time.Now(), time.NewTicker(loadtest.StormRhythm)
	defer tick.Stop()
	for n := range upgrades {
		<-tick.C
		upgrade(n+1, d)
	}
	took := time.Since(began)

	loadtest.AwaitExchanges(t, l.Recorder(), 1)
	if err := l.Stop(); err != nil {
		t.Error(err)
	}
	_ = servers.pool.Close()
	t.Logf("%d upgrades in %v\n%s", upgrades, took.Round(time.Millisecond), stormTable(l.Recorder().Snapshot()))
	wantCalm(t, d, l.Recorder())
	front.WantQuietNginx(t, servers.nginx)
	daemontest.WantNoMore(t, d, daemontest.Usage{Descriptors: first.Descriptors + nginxKeeps, Goroutines: first.Goroutines + nginxKeeps})
}

// wantCalm checks that every exchange was answered, by a generation that there has
// been, and that who can keep a connection kept it. It does not ask every generation
// to have answered: how many requests there are in its time is up to the machine.
func wantCalm(t *testing.T, d *daemon.Daemon, rec *load.Recorder) {
	t.Helper()
	loadtest.WantNoneFailed(t, rec)
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

//go:build unix

package bench

import (
	"strings"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
)

const (
	// phase is how long the machine is quiet, and then how long it upgrades.
	phase = 2 * time.Second

	// rhythm is the time from one upgrade to the next.
	rhythm = 250 * time.Millisecond

	// latencyThink is the most that a client waits before a request, so that the
	// figures show upgrades and not a queue at the processor.
	latencyThink = 10 * time.Millisecond
)

// latencyKinds are the clients, and how their metrics are called.
var latencyKinds = []struct {
	name, metric string
	newClient    func(to load.Target) (load.Client, error)
}{
	{"keep-alive", "kept", func(to load.Target) (load.Client, error) {
		return load.NewKeepAlive(to, load.KeepAliveOptions{Think: latencyThink})
	}},
	{"new connections", "new", func(to load.Target) (load.Client, error) {
		return load.NewGet(to, load.GetOptions{Think: latencyThink})
	}},
}

// BenchmarkLatency has clients meet quiet phases, and phases with one upgrade after
// another, in turn. It reports the time in which 99 of 100 requests are answered in
// either, and the ratio of the two, for connections that are kept and for new
// ones.
func BenchmarkLatency(b *testing.B) {
	d := startMixed(b, "[web]\nmode http\nlisten 127.0.0.1:0\n")
	to, err := d.Target("web")
	if err != nil {
		b.Fatal(err)
	}
	var quiet, upgrading load.Recorder
	for b.Loop() {
		underLoad(b, to, &quiet, func() { time.Sleep(phase) })
		underLoad(b, to, &upgrading, func() { upgradeOften(b, d) })
	}
	b.ReportMetric(0, "ns/op") // the phases' own length
	for _, kind := range latencyKinds {
		q, u := quiet.Snapshot().Kind(kind.name).P99, upgrading.Snapshot().Kind(kind.name).P99
		b.ReportMetric(milliseconds(q), kind.metric+"-quiet-ms")
		b.ReportMetric(milliseconds(u), kind.metric+"-upgrading-ms")
		b.ReportMetric(float64(u)/float64(q), kind.metric+"-ratio")
	}
}

// underLoad runs clients while it does something.
func underLoad(b *testing.B, to load.Target, rec *load.Recorder, do func()) {
	b.Helper()
	l := load.New(rec)
	for _, kind := range latencyKinds {
		l.Add(kind.name, 8, func() (load.Client, error) { return kind.newClient(to) })
	}
	l.Start(b.Context())
	do()
	if err := l.Stop(); err != nil {
		b.Error(err)
	}
	if rec.Failed() > 0 {
		var table strings.Builder
		_ = rec.WriteTable(&table)
		b.Fatalf("%d requests failed\n%s", rec.Failed(), table.String())
	}
}

// upgradeOften upgrades for one phase. If an upgrade takes longer than the rhythm,
// the next follows at once.
func upgradeOften(b *testing.B, d *daemon.Daemon) {
	b.Helper()
	tick := time.NewTicker(rhythm)
	defer tick.Stop()
	for range phase / rhythm {
		<-tick.C
		if _, err := d.Upgrade(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

//go:build unix

package bench

import (
	"fmt"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
)

// spareFiles is what a process with many connections has open besides them.
const spareFiles = 100

// BenchmarkIdleConnections upgrades a daemon that has many idle connections. All of
// them are used once before each upgrade and once after it, so none may have been
// closed. It reports how long the old generation drains, until it has moved everything:
//
//   - idle-ms: from the hands of net/http, where connections idle after a request
//   - parked-ms: from a generation in which nothing has been asked on them
//   - us/conn: the greater of the two, for each connection
//   - linear: us/conn, compared with that of the least number of connections
//
// and how much memory they take while they idle, for each connection:
//
//   - parked-B: in a generation in which nothing has been asked on it
//   - net/http-B: in a process with net/http alone, after one request
//   - ratio: the one by the other
func BenchmarkIdleConnections(b *testing.B) {
	var least time.Duration
	for _, n := range []int{2_000, 10_000, 50_000} {
		b.Run(fmt.Sprintf("connections=%d", n), func(b *testing.B) {
			if err := process.SetMaxFiles(uint64(n + spareFiles)); err != nil {
				b.Skip(err)
			}
			theirs := idleMemory(b, n)
			ours := measureIdle(b, n)
			perConn := max(median(ours.idle), median(ours.parked)) / time.Duration(n)
			if least == 0 {
				least = perConn
			}
			b.ReportMetric(0, "ns/op") // mostly the clients' time
			b.ReportMetric(milliseconds(median(ours.idle)), "idle-ms")
			b.ReportMetric(milliseconds(median(ours.parked)), "parked-ms")
			b.ReportMetric(float64(perConn)/float64(time.Microsecond), "us/conn")
			b.ReportMetric(float64(perConn)/float64(least), "linear")
			b.ReportMetric(ours.memory, "parked-B")
			b.ReportMetric(theirs, "net/http-B")
			b.ReportMetric(ours.memory/theirs, "ratio")
		})
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// idleFigures are those of gozd.
type idleFigures struct {
	idle, parked []time.Duration // that the old generation has drained
	memory       float64         // of a parked connection, in bytes
}

// measureIdle upgrades twice in each round: the first time the connections leave
// net/http, and the second time they have been parked.
func measureIdle(b *testing.B, n int) idleFigures {
	b.Helper()
	d := startMixed(b, "[web]\nmode http\nlisten 0.0.0.0:0\n", fmt.Sprintf("max_files %d", n+spareFiles))
	_, without := replace(b, d)
	to, err := d.Target("web")
	if err != nil {
		b.Fatal(err)
	}
	clients := dialIdle(b, to.Address, "/", n)
	defer clients.close()
	var f idleFigures
	var with []int
	for b.Loop() {
		idle, rss := replace(b, d)
		parked, _ := replace(b, d)
		f.idle, f.parked, with = append(f.idle, idle), append(f.parked, parked), append(with, rss)
		clients.use(b, generation(b, d))
	}
	f.memory = float64(median(with)-without) / float64(n)
	return f
}

// replace upgrades. It returns how long the old generation has drained, and how much memory the new one has then. What the old one does
// afterwards is to stand by for some seconds, however many connections there were.
func replace(b *testing.B, d *daemon.Daemon) (took time.Duration, rss int) {
	b.Helper()
	var up *client.Upgraded
	err := client.Ask(b.Context(), d.PIDFile, func(c *client.Client) (err error) {
		up, err = c.Upgrade(b.Context(), client.UpgradeOptions{}, nil)
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	if up.Drained == nil {
		b.Fatalf("generation %d has not said that it is done", up.OldGeneration)
	}
	if _, err := d.State(); err != nil { // by which the daemon is known, and ended
		b.Fatal(err)
	}
	if err := d.WaitAlive(b.Context(), 1); err != nil {
		b.Fatal(err)
	}
	return time.Duration(up.Drained.Seconds * float64(time.Second)), residentSet(b, up.Served.PID)
}

func generation(b *testing.B, d *daemon.Daemon) int {
	b.Helper()
	s, err := d.State()
	if err != nil {
		b.Fatal(err)
	}
	return s.Generation
}

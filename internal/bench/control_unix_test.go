//go:build unix

package bench

import (
	"context"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
)

// statusRhythm is the time from one question about the status to the next: a thousand a
// second.
const statusRhythm = time.Millisecond

// BenchmarkControl has clients meet three kinds of phases in turn: nobody asks any daemon how it is; somebody
// asks another daemon on this machine a thousand times a second; and somebody asks theirs. It reports the time in
// which 99 of 100 requests are answered in each, and two ratios: what the questions cost altogether, on a machine that
// may be short of processors, and what it costs that it is this daemon that answers them.
func BenchmarkControl(b *testing.B) {
	const web = "[web]\nmode http\nlisten 127.0.0.1:0\n"
	d, other := startMixed(b, web), startMixed(b, web)
	to, err := d.Target("web")
	if err != nil {
		b.Fatal(err)
	}
	theirs, anothers := dialControl(b, d), dialControl(b, other)
	var quiet, elsewhere, asked load.Recorder
	answers, phases := 0, 0
	for b.Loop() {
		underLoad(b, to, &quiet, func() { time.Sleep(phase) })
		underLoad(b, to, &elsewhere, func() { askStatus(b, anothers) })
		underLoad(b, to, &asked, func() { answers += askStatus(b, theirs) })
		phases++
	}
	b.ReportMetric(0, "ns/op") // the phases' own length
	b.ReportMetric(float64(answers)/(float64(phases)*phase.Seconds()), "status/s")
	for _, kind := range latencyKinds {
		p99 := func(r *load.Recorder) time.Duration { return r.Snapshot().Kind(kind.name).P99 }
		b.ReportMetric(milliseconds(p99(&quiet)), kind.metric+"-quiet-ms")
		b.ReportMetric(milliseconds(p99(&asked)), kind.metric+"-asked-ms")
		b.ReportMetric(float64(p99(&asked))/float64(p99(&quiet)), kind.metric+"-ratio")
		b.ReportMetric(float64(p99(&asked))/float64(p99(&elsewhere)), kind.metric+"-to-elsewhere")
	}
}

func dialControl(b *testing.B, d *daemon.Daemon) *client.Client {
	b.Helper()
	c, err := client.Dial(b.Context(), d.PIDFile)
	if err != nil {
		b.Fatal(err)
	}
	return c
}

// askStatus asks for one phase, in the rhythm, and catches up where an answer took longer. It
// returns how often it was answered.
func askStatus(b *testing.B, c *client.Client) (answers int) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 10*phase)
	defer cancel()
	for start := time.Now(); time.Since(start) < phase; answers++ {
		time.Sleep(time.Until(start.Add(time.Duration(answers) * statusRhythm)))
		if _, err := c.Status(ctx); err != nil {
			b.Fatal(err)
		}
	}
	return answers
}

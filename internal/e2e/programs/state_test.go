package programs

import (
	"fmt"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loadtest"
)

// TestHandlersHandTheirStateOver upgrades often under clients of every pace whose
// lines are counted over all generations: each keeps its one connection, no line is
// lost, and none is counted twice.
func TestHandlersHandTheirStateOver(t *testing.T) {
	const upgrades, clients = 8, 8
	for _, listen := range []string{"127.0.0.1:0", "unix:x.sock"} {
		t.Run(listen, func(t *testing.T) {
			d := daemontest.Start(t, "[state]\nmode tcp\nlisten "+listen+"\n"+daemontest.Asking)
			first := daemontest.Measure(t, d)
			to, plain := daemontest.Target(t, d, "state"), daemontest.Target(t, d, "plain")
			l := load.New(nil)
			l.Interval = 2 * time.Millisecond
			for _, o := range []load.LinesOptions{
				{},
				{Think: 20 * time.Millisecond},
				{Split: time.Millisecond},
				{Split: 5 * time.Millisecond, Think: 5 * time.Millisecond},
			} {
				o.Counted = true
				l.Add(fmt.Sprintf("think %v, split %v", o.Think, o.Split), clients, func() (load.Client, error) {
					return load.NewLines(to, o)
				})
			}
			l.Add("GET", 1, func() (load.Client, error) { // says which process is which generation
				return load.NewGet(plain, load.GetOptions{})
			})
			loadtest.UpgradeUnderLoad(t, d, l, upgrades)
			for _, s := range l.Recorder().Snapshot().Kinds {
				if s.Kind == "GET" {
					loadtest.WantServed(t, s, 1, upgrades+1)
					continue
				}
				if s.Connections != clients || s.Reconnects != 0 {
					t.Errorf("%s: %d clients used %d connections, %d of them planned", s.Kind, clients, s.Connections, s.Reconnects)
				}
				// A connection may move past a generation that is itself replaced.
				if s.Served[0] != 0 || s.Served[1] == 0 || len(s.Served) < 2 {
					t.Errorf("%s: served by %v, want generations from the first on", s.Kind, s.Served)
				}
			}
			daemontest.WantNoMore(t, d, first)
		})
	}
}

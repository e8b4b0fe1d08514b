package load

import (
	"fmt"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loadtest"
)

// TestKeepAliveClientsKeepTheirConnection upgrades often under plaintext
// keep-alive clients of every pace: each uses exactly one connection from first to
// last, whatever generation serves it.
func TestKeepAliveClientsKeepTheirConnection(t *testing.T) {
	upgrades := upgrades()
	for _, listen := range []string{"127.0.0.1:0", "unix:web.sock"} {
		t.Run(listen, func(t *testing.T) {
			d := daemontest.Start(t, "[web]\nmode http\nlisten "+listen+"\n")
			to := daemontest.Target(t, d, "web")
			l := load.New(nil)
			for _, think := range []time.Duration{0, 5 * time.Millisecond, 100 * time.Millisecond} {
				for _, split := range []time.Duration{0, time.Millisecond} {
					l.Add(fmt.Sprintf("think %v, split %v", think, split), 3, func() (load.Client, error) {
						return load.NewKeepAlive(to, load.KeepAliveOptions{BodySize: 500, Think: think, Split: split})
					})
				}
			}
			loadtest.UpgradeUnderLoad(t, d, l, upgrades)
			for _, s := range l.Recorder().Snapshot().Kinds {
				if s.Connections != 3 || s.Reconnects != 0 {
					t.Errorf("%s: 3 clients used %d connections, %d of them planned", s.Kind, s.Connections, s.Reconnects)
				}
				loadtest.WantServed(t, s, 1, upgrades+1)
			}
			if err := d.WaitAlive(t.Context(), 1); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestPipelinedRequestsOverUpgrades has clients send several requests behind each other, cut anywhere and with upgrades in the pause: each is
// answered once, in its order, and no body is taken for a request.
func TestPipelinedRequestsOverUpgrades(t *testing.T) {
	upgrades := upgrades()
	for _, listen := range []string{"127.0.0.1:0", "unix:web.sock"} {
		t.Run(listen, func(t *testing.T) {
			d := daemontest.Start(t, "[web]\nmode http\nlisten "+listen+"\n")
			to := daemontest.Target(t, d, "web")
			l := load.New(nil)
			for _, pause := range []time.Duration{time.Millisecond, 50 * time.Millisecond, 300 * time.Millisecond} {
				l.Add(fmt.Sprintf("pause up to %v", pause), 6, func() (load.Client, error) {
					return load.NewPipelined(to, load.PipelinedOptions{Pause: pause, Think: 5 * time.Millisecond})
				})
			}
			loadtest.UpgradeUnderLoad(t, d, l, upgrades)
			for _, s := range l.Recorder().Snapshot().Kinds {
				if s.Connections != 6 || s.Reconnects != 0 {
					t.Errorf("%s: 6 clients used %d connections, %d of them planned", s.Kind, s.Connections, s.Reconnects)
				}
				loadtest.WantServed(t, s, 1, upgrades+1)
			}
			if err := d.WaitAlive(t.Context(), 1); err != nil {
				t.Error(err)
			}
		})
	}
}

package load

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loadtest"
)

// TestLoadOverUpgrades upgrades each mode several times on each kind of
// socket, and nobody notices.
func TestLoadOverUpgrades(t *testing.T) {
	upgrades := upgrades()
	for _, mode := range []struct {
		group, options string
		clients        func(l *load.Load, to load.Target) (closeAll func())
	}{
		{"line", "mode tcp", loadtest.AddLines},
		{"web", "mode http", loadtest.AddHTTP},
		{"secure", "mode https\nkey key.pem\ncert cert.pem", httpsClients},
		{"app", "mode fcgi", fastCGIClients},
	} {
		for _, listen := range []string{"127.0.0.1:0", "unix:x.sock"} {
			network, _, _ := strings.Cut(listen, ":")
			t.Run(mode.group+"/"+network, func(t *testing.T) {
				d := daemontest.Start(t, fmt.Sprintf("[%s]\n%s\nlisten %s\n", mode.group, mode.options, listen)+daemontest.Asking)
				first := daemontest.Measure(t, d)
				l := load.New(nil)
				l.Interval = 2 * time.Millisecond
				closeAll := mode.clients(l, daemontest.Target(t, d, mode.group))
				loadtest.UpgradeUnderLoad(t, d, l, upgrades)
				closeAll()
				for _, s := range l.Recorder().Snapshot().Kinds {
					if mode.group != "line" { // its answers name a PID only
						loadtest.WantServed(t, s, 1, upgrades+1)
					}
				}
				daemontest.WantNoMore(t, d, first)
			})
		}
	}
}

func httpsClients(l *load.Load, to load.Target) func() {
	loadtest.AddHTTP(l, to)
	l.Add("HTTP/2", 2, func() (load.Client, error) {
		return load.NewHTTP2(to, load.HTTP2Options{BodySize: 1000})
	})
	pool, err := load.NewHTTP2Pool(to)
	l.Add("HTTP/2 streams", 4, func() (load.Client, error) {
		if err != nil {
			return nil, err
		}
		return load.NewHTTP2(to, load.HTTP2Options{BodySize: 1000, Pool: pool})
	})
	return func() { _ = pool.Close() }
}

func fastCGIClients(l *load.Load, to load.Target) func() {
	for name, size := range map[string]int{"0": load.NoBody, "1": 1, "200,000": 200_000} {
		l.Add(name+" bytes", 2, func() (load.Client, error) {
			return load.NewFastCGI(to, load.FastCGIOptions{BodySize: size})
		})
	}
	return func() {}
}

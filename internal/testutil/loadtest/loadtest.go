// Package loadtest has tests put a load on daemons, and see that no client of it notices
// anything.
package loadtest

import (
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
)

// lightly is how often each client of a light load asks.
const lightly = 10 * time.Millisecond

// StartLight has a few clients of a daemon's web group, which leave the machine alone
// most of the time.
func StartLight(t *testing.T, d *daemon.Daemon) *load.Load {
	t.Helper()
	l := load.New(nil)
	l.Interval = lightly
	AddHTTP(l, daemontest.Target(t, d, "web"))
	l.Start(t.Context())
	return l
}

// End ends a load of which no exchange may have failed.
func End(t *testing.T, l *load.Load) {
	t.Helper()
	if err := l.Stop(); err != nil {
		t.Error(err)
	}
	WantNoneFailed(t, l.Recorder())
}

// UpgradeUnderLoad upgrades a new daemon n times, every other time by SIGHUP, and waits before each and at the end until the
// serving generation has answered every kind of client a number of times: so the load and not
// the clock says when it is time.
func UpgradeUnderLoad(t *testing.T, d *daemon.Daemon, l *load.Load, n int) {
	t.Helper()
	l.Start(t.Context())
	for generation := 1; ; generation++ {
		AwaitServed(t, l.Recorder(), generation)
		if generation > n {
			break
		}
		if generation%2 == 0 {
			daemontest.UpgradeByHUP(t, d)
		} else {
			daemontest.Upgrade(t, d)
		}
	}
	End(t, l)
}

// AddLines adds clients of a group that speaks in lines.
func AddLines(l *load.Load, to load.Target) func() {
	l.Add("a connection per line", 3, func() (load.Client, error) {
		return load.NewLines(to, load.LinesOptions{OneShot: true})
	})
	return func() {}
}

// AddHTTP adds clients of a group that speaks HTTP.
func AddHTTP(l *load.Load, to load.Target) func() {
	l.Add("new connections", 2, func() (load.Client, error) {
		return load.NewGet(to, load.GetOptions{})
	})
	l.Add("keep-alive", 3, func() (load.Client, error) {
		return load.NewKeepAlive(to, load.KeepAliveOptions{BodySize: 1000})
	})
	l.Add("keep-alive with pauses", 3, func() (load.Client, error) {
		return load.NewKeepAlive(to, load.KeepAliveOptions{BodySize: 10, Think: 20 * time.Millisecond})
	})
	return func() {}
}

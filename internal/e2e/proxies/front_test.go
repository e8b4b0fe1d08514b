package proxies

import (
	"os"
	"regexp"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/front"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loadtest"
)

// passable lets a web server that has given up root reach the socket of a daemon
// in dir.
func passable(t *testing.T, dir string) {
	t.Helper()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
}

// upgradeBehind upgrades a daemon several times while keep-alive clients post to it
// through a web server, with pauses and without. Every generation has to answer,
// and none may fail.
func upgradeBehind(t *testing.T, d *daemon.Daemon, f front.Server) {
	t.Helper()
	const upgrades = 8
	l := load.New(nil)
	for name, size := range map[string]int{"0": load.NoBody, "1": 1, "200,000": 200_000} {
		l.Add("POST of "+name+" bytes", 2, func() (load.Client, error) {
			return load.NewKeepAlive(f.Target, load.KeepAliveOptions{BodySize: size, Think: 5 * time.Millisecond})
		})
	}
	l.Add("POST without a pause", 2, func() (load.Client, error) {
		return load.NewKeepAlive(f.Target, load.KeepAliveOptions{BodySize: 100})
	})
	loadtest.UpgradeUnderLoad(t, d, l, upgrades)
	for _, s := range l.Recorder().Snapshot().Kinds {
		loadtest.WantServed(t, s, 1, upgrades+1)
	}
}

// wantMoved checks that connections have moved from generation to generation: the
// web server has kept some.
func wantMoved(t *testing.T, d *daemon.Daemon) {
	t.Helper()
	if !regexp.MustCompile(` moved=[1-9]`).MatchString(d.LogText()) {
		t.Error("no connection has moved")
	}
}

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
)

// asking is a group that every daemon of these tests has, to ask how it is.
const asking = "\n[plain]\nmode http\nlisten 127.0.0.1:0\n"

// TestLoadOverTwentyUpgrades upgrades each mode twenty times on each kind of
// socket, and nobody notices.
func TestLoadOverTwentyUpgrades(t *testing.T) {
	const upgrades = 20
	for _, mode := range []struct {
		group, options string
		clients        func(l *load.Load, to load.Target) (closeAll func())
	}{
		{"line", "mode tcp", lineClients},
		{"web", "mode http", httpClients},
		{"secure", "mode https\nkey key.pem\ncert cert.pem", httpsClients},
		{"app", "mode fcgi", fastCGIClients},
	} {
		for _, listen := range []string{"127.0.0.1:0", "unix:x.sock"} {
			network, _, _ := strings.Cut(listen, ":")
			t.Run(mode.group+"/"+network, func(t *testing.T) {
				d := start(t, fmt.Sprintf("[%s]\n%s\nlisten %s\n", mode.group, mode.options, listen)+asking)
				first := measure(t, d)
				l := load.New(nil)
				l.Interval = 2 * time.Millisecond
				closeAll := mode.clients(l, target(t, d, mode.group))
				upgradeUnderLoad(t, d, l, upgrades)
				closeAll()
				for _, s := range l.Recorder().Snapshot().Kinds {
					if mode.group != "line" { // its answers name a PID only
						wantServed(t, s, 1, upgrades+1)
					}
				}
				wantNoMore(t, d, first)
			})
		}
	}
}

func lineClients(l *load.Load, to load.Target) func() {
	l.Add("a connection per line", 3, func() (load.Client, error) {
		return load.NewLines(to, load.LinesOptions{OneShot: true})
	})
	return func() {}
}

func httpClients(l *load.Load, to load.Target) func() {
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

func httpsClients(l *load.Load, to load.Target) func() {
	httpClients(l, to)
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

// usage is what a generation holds when it is idle.
type usage struct{ descriptors, goroutines int }

func (u usage) within(limit usage) bool {
	return u.descriptors <= limit.descriptors && u.goroutines <= limit.goroutines
}

// measure asks the serving generation over a connection of its own.
func measure(t *testing.T, d *daemon.Daemon) usage {
	t.Helper()
	s, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	to := target(t, d, "plain")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}
	resp, err := client.Get("http://" + to.Address + "/goroutines")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	return usage{descriptors: descriptors(t, s.PID), goroutines: n}
}

// descriptors counts a process's open files.
func descriptors(t *testing.T, pid int) int {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Skipf("descriptors are counted in /proc: %v", err)
	}
	return len(entries)
}

// wantNoMore waits until the last generation holds no more than the first did.
// Its older generations must be gone: a child keeps a pipe to each parent.
func wantNoMore(t *testing.T, d *daemon.Daemon, first usage) {
	t.Helper()
	if err := d.WaitAlive(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(30 * time.Second)
	for {
		last := measure(t, d)
		if last.within(first) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the last generation holds %+v, the first held %+v", last, first)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

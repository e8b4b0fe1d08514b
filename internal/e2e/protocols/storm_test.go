package protocols

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/front"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loadtest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// stormer is a client that asks again and again while a storm is on.
type stormer struct {
	name  string
	once  func() error // is called before the storm; may be nil
	ask   func(round int) error
	conns func() int32 // that it has used; nil if ask sees to that
	most  int32        // that it may use

	rounds atomic.Int32
}

// TestStormOfOtherStacks upgrades without a rest under clients of every stack at once. Nothing fails, and each has one connection with TLS from
// the first to the last generation (curl and h2load have one for each of their runs).
func TestStormOfOtherStacks(t *testing.T) {
	upgrades := loadtest.StormLength(t)
	d := daemontest.Start(t, movingGroup, "max_generations 64")
	to := daemontest.Target(t, d, "secure")
	l, nginx, nginxConns := stormLoad(t, to)
	l.Start(t.Context())
	all := append(stormJudges(t, to), stormCurls(t, to)...)
	all = append(all, stormH2loads(t, to)...)
	for _, s := range all {
		if s.once != nil { // it takes its time to start, and is to see all upgrades
			require.NoError(t, s.once())
		}
	}
	stop := askInTurn(t, all)

	began, tick := time.Now(), time.NewTicker(loadtest.StormRhythm)
	defer tick.Stop()
	for range upgrades {
		<-tick.C
		daemontest.Upgrade(t, d)
	}
	took := time.Since(began)
	loadtest.AwaitExchanges(t, l.Recorder(), 1)
	stop()
	require.NoError(t, l.Stop())

	loadtest.WantNoneFailed(t, l.Recorder())
	for _, s := range l.Recorder().Snapshot().Kinds {
		t.Logf("%s: %d requests, %d connections", s.Kind, s.Requests, s.Connections)
		if s.Connections != stormClients || s.Reconnects != 0 {
			t.Errorf("%s: %d clients used %d connections, %d of them planned", s.Kind, stormClients, s.Connections, s.Reconnects)
		}
	}
	for _, s := range all {
		t.Logf("%s: %d rounds", s.name, s.rounds.Load())
		if s.conns != nil && s.conns() > s.most {
			t.Errorf("%s has used %d connections, want %d", s.name, s.conns(), s.most)
		}
	}
	if got := nginxConns(); got > stormClients {
		t.Errorf("nginx has used %d connections for %d clients", got, stormClients)
	}
	front.WantQuietNginx(t, nginx)
	t.Logf("%d upgrades in %v", upgrades, took.Round(time.Millisecond))
}

// askInTurn has each ask without end, and returns what ends them.
func askInTurn(t *testing.T, all []*stormer) (stop func()) {
	t.Helper()
	var ended atomic.Bool
	var asking sync.WaitGroup
	for _, s := range all {
		asking.Go(func() {
			for !ended.Load() {
				if err := s.ask(int(s.rounds.Load())); err != nil {
					t.Errorf("%s, round %d: %v", s.name, s.rounds.Load(), err)
					return
				}
				s.rounds.Add(1)
			}
		})
	}
	return func() {
		ended.Store(true)
		asking.Wait()
	}
}

var errAnswers = errors.New("answers are missing")

// stormClients is how many clients there are of each kind of our own.
const stormClients = 4

// stormThink is how long a client waits before a request: there are many.
const stormThink = 20 * time.Millisecond

// stormLoad are clients of our own, directly and through nginx, which keeps as many connections.
func stormLoad(t *testing.T, to load.Target) (l *load.Load, nginx front.Server, nginxConns func() int32) {
	t.Helper()
	ear := eavesdrop(t, to.Address)
	nginx = front.StartNginx(t, load.Target{Network: "tcp", Address: ear.Addr().String()}, front.PassHTTPS)
	l = load.New(nil)
	l.Add("HTTP/1.1", stormClients, func() (load.Client, error) {
		return load.NewKeepAlive(to, load.KeepAliveOptions{BodySize: 500, Think: stormThink})
	})
	l.Add("HTTP/2", stormClients, func() (load.Client, error) {
		return load.NewHTTP2(to, load.HTTP2Options{BodySize: 500})
	})
	l.Add("nginx", stormClients, func() (load.Client, error) {
		return load.NewKeepAlive(nginx.Target, load.KeepAliveOptions{BodySize: 500, Think: stormThink})
	})
	return l, nginx, ear.conns.Load
}

func stormJudges(t *testing.T, to load.Target) []*stormer {
	t.Helper()
	var all []*stormer
	for _, of := range judges {
		ear := eavesdrop(t, to.Address)
		host, port, err := net.SplitHostPort(ear.Addr().String())
		require.NoError(t, err)
		j := of.start(t, host, port)
		ask := func(round int) error {
			time.Sleep(stormThink)
			_, err := j.ask(round%10 == 1, strings.Repeat("x", 1+round%3000)) // GnuTLS takes no more than eight new keys a second
			return err
		}
		all = append(all, &stormer{name: of.name, conns: ear.conns.Load, most: 1, once: func() error { return ask(0) }, ask: ask})
	}
	return all
}

func stormCurls(t *testing.T, to load.Target) []*stormer {
	t.Helper()
	curl := require.Tool(t, "curl", "package curl")
	const requests = 100
	var all []*stormer
	for _, proto := range []string{"--http1.1", "--http2"} {
		all = append(all, &stormer{name: "curl " + proto, ask: func(int) error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			out, err := exec.CommandContext(ctx, curl, proto, "--insecure", "--silent", "--show-error", "--no-progress-meter", "--fail", "--rate", "50/s",
				"--data", "body", "--write-out", "\n%{http_code} %{num_connects}\n", fmt.Sprintf("https://%s/echo?[1-%d]", to.Address, requests)).CombinedOutput()
			if first, later := strings.Count(string(out), "body\n200 1\n"), strings.Count(string(out), "body\n200 0\n"); err != nil || first != 1 || later != requests-1 {
				return fmt.Errorf("%d first and %d later answers (%w): %s", first, later, cmp.Or(err, errAnswers), out)
			}
			return nil
		}})
	}
	return all
}

func stormH2loads(t *testing.T, to load.Target) []*stormer {
	t.Helper()
	h2load := require.Tool(t, "h2load", "package nghttp2-client")
	const requests = 2000
	var all []*stormer
	for _, proto := range []string{"http/1.1", "h2"} {
		all = append(all, &stormer{name: "h2load " + proto, ask: func(int) error {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			out, err := exec.CommandContext(ctx, h2load, "-n", strconv.Itoa(requests), "-c", strconv.Itoa(stormClients), "--npn-list", proto,
				"https://"+to.Address+"/").CombinedOutput()
			if got, want := h2loadNumbers(string(out)), h2loadAllGood(requests); err != nil || !maps.Equal(got, want) {
				return fmt.Errorf("%v (%w): %s", got, cmp.Or(err, errAnswers), out)
			}
			return nil
		}})
	}
	return all
}

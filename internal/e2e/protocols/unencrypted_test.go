package protocols

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
)

// startUnencrypted starts a daemon that serves HTTP/2 without TLS on an address.
func startUnencrypted(t *testing.T, listen string, options ...string) (*daemon.Daemon, load.Target) {
	t.Helper()
	d := daemontest.Prepare(t, binaries.Unencrypted(t), "[web]\nmode http\nlisten "+listen+"\n", options...)
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d, daemontest.Target(t, d, "web")
}

// oneConnection is Go's client of HTTP/2 without TLS. A second dial is an error.
type oneConnection struct {
	*http.Transport
	dialed atomic.Bool
}

func newOneConnection(t *testing.T, to load.Target) *oneConnection {
	t.Helper()
	c := new(oneConnection)
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	c.Transport = &http.Transport{Protocols: p, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		if c.dialed.Swap(true) {
			return nil, errors.New("the client dials once more")
		}
		return new(net.Dialer).DialContext(ctx, to.Network, to.Address)
	}}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// post sends a body that cannot be sent twice, and returns the generation that has answered.
func (c *oneConnection) post(ctx context.Context, body string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://x/echo", struct{ io.Reader }{strings.NewReader(body)})
	if err != nil {
		return "", err
	}
	req.ContentLength = int64(len(body))
	req.Header.Set(fmt.Sprintf("X-Field-%d", rand.IntN(1000)), strings.Repeat("v", rand.IntN(200)))
	resp, err := c.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	generation, answer, _ := strings.Cut(string(b), ": ")
	if err == nil && answer != body {
		err = fmt.Errorf("status %d, %d bytes of answer to %d", resp.StatusCode, len(answer), len(body))
	}
	return generation, err
}

// TestUnencryptedHTTP2Moves upgrades under clients with three workers each. None dials again, and each sees all generations.
func TestUnencryptedHTTP2Moves(t *testing.T) {
	for _, listen := range []string{"127.0.0.1:0", "unix:app.sock"} {
		t.Run(listen, func(t *testing.T) {
			const clients, workers, upgrades = 10, 3, 20
			d, to := startUnencrypted(t, listen)
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			var asked atomic.Int64
			var seen [clients]sync.Map
			var asking sync.WaitGroup
			for i := range clients {
				c := newOneConnection(t, to)
				if _, err := c.post(t.Context(), "first"); err != nil { // or each worker would dial
					t.Fatal(err)
				}
				for range workers {
					asking.Go(func() {
						for ctx.Err() == nil {
							generation, err := c.post(t.Context(), strings.Repeat("b", rand.IntN(1<<rand.IntN(17))))
							if err != nil {
								t.Errorf("client %d: %v", i, err)
								return
							}
							seen[i].Store(generation, true)
							asked.Add(1)
						}
					})
				}
			}
			for range upgrades {
				daemontest.Upgrade(t, d)
				before := asked.Load()
				daemontest.Await(t, "requests after the upgrade", func() bool { return t.Failed() || asked.Load() > before+clients*workers })
			}
			stop()
			asking.Wait()
			for i := range seen {
				n := 0
				seen[i].Range(func(_, _ any) bool { n++; return true })
				if n < upgrades/2 {
					t.Errorf("client %d has seen %d generations of %d", i, n, upgrades+1)
				}
			}
			t.Logf("%d requests", asked.Load())
			if text := d.LogText(); strings.Contains(text, "http2:") {
				t.Error("x/net has found mistakes")
			}
		})
	}
}

// TestUnencryptedHTTP2ComesBack rolls an upgrade back under a client that the new generation has accepted.
func TestUnencryptedHTTP2ComesBack(t *testing.T) {
	d, to := startUnencrypted(t, "127.0.0.1:0", "probation 1m")
	probation, outcome := daemontest.BeginTrial(t, d)
	var c *oneConnection
	for generation := ""; generation != "2"; { // both accept
		c = newOneConnection(t, to)
		var err error
		if generation, err = c.post(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	daemontest.WantRolledBack(t, d, probation, outcome, "rolled back on request")
	if got, err := c.post(t.Context(), "x"); got != "1" || err != nil {
		t.Errorf("generation %q, %v, want 1", got, err)
	}
}

// TestH2loadKeepsItsConnectionsOfHTTP2 has h2load speak HTTP/2, with its windows of 64 KB. It opens no second connection for a client.
func TestH2loadKeepsItsConnectionsOfHTTP2(t *testing.T) {
	t.Run("without TLS", func(t *testing.T) {
		d, to := startUnencrypted(t, "127.0.0.1:0")
		keepH2load(t, d, "http://"+to.Address+"/")
	})
	t.Run("TLS", func(t *testing.T) {
		d := daemontest.Start(t, movingGroup)
		keepH2load(t, d, "https://"+daemontest.Target(t, d, "secure").Address+"/")
	})
}

func keepH2load(t *testing.T, d *daemon.Daemon, url string) {
	t.Helper()
	const requests, clients = 20_000, 6
	want := map[string]int{
		"total": requests, "started": requests, "done": requests, "succeeded": requests, "2xx": requests,
		"failed": 0, "errored": 0, "timeout": 0, "3xx": 0, "4xx": 0, "5xx": 0,
	}
	upgrades := 0
	for upgrades < 10 {
		h := runH2load(t, requests, clients, "-m", "5", url)
		for h.awaitAnswers() {
			daemontest.Upgrade(t, d)
			upgrades++
		}
		if got := h.summary(); !maps.Equal(got, want) {
			t.Fatalf("h2load counts %v, want %v", got, want)
		}
	}
}

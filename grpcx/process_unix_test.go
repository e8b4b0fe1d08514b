//go:build unix

package grpcx_test

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
)

func start(t *testing.T) (*daemon.Daemon, *address) {
	t.Helper()
	return startIn(t, "tcp")
}

// startIn starts a daemon whose group has a mode, and the variables that its program has then.
func startIn(t *testing.T, mode string, env ...string) (*daemon.Daemon, *address) {
	t.Helper()
	binary, err := program()
	if err != nil {
		t.Fatal(err)
	}
	d := daemontest.Prepare(t, binary, "[rpc]\nmode "+mode+"\nlisten 127.0.0.1:0\n")
	d.Env = append(d.Env, env...)
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d, &address{daemontest.Target(t, d, "rpc")}
}

// address is that of a daemon's group.
type address struct{ load.Target }

func (a *address) Network() string { return a.Target.Network }
func (a *address) String() string  { return a.Address }

// by returns the generation that answers.
func (c *client) by(ctx context.Context, options ...grpc.CallOption) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var header metadata.MD
	if _, err := c.Check(ctx, new(grpc_health_v1.HealthCheckRequest), append(options, grpc.Header(&header))...); err != nil {
		return 0, err
	}
	return strconv.Atoi(header.Get("generation")[0])
}

// One channel for many callers, none of which tries twice, and another that believes the health service: no call fails, whichever generation answers it.
func TestUpgradesFailNoCall(t *testing.T) {
	upgrades, callers := 100, 8
	if testing.Short() {
		upgrades = 5
	}
	d, to := start(t)
	wantNoneFailed(t, d, to, upgrades, callers)
}

// The same by httpx, for which a gRPC server is a handler.
func TestUpgradesByHTTPXFailNoCall(t *testing.T) {
	d, to := startIn(t, "http", "PROGRAM_BY=httpx")
	wantNoneFailed(t, d, to, 10, 8)
}

// wantNoneFailed upgrades a daemon while clients call it all the time.
func wantNoneFailed(t *testing.T, d *daemon.Daemon, to *address, upgrades, callers int) {
	t.Helper()
	clients := []*client{
		dial(t, to),
		dial(t, to, grpc.WithDefaultServiceConfig(`{"loadBalancingConfig":[{"round_robin":{}}],"healthCheckConfig":{"serviceName":""}}`)),
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var calls atomic.Int64
	var seen sync.Map
	var calling sync.WaitGroup
	for i := range callers {
		calling.Go(func() {
			for ctx.Err() == nil {
				generation, err := clients[i%len(clients)].by(t.Context())
				if err != nil {
					t.Errorf("call %d: %v", calls.Load(), err)
					return
				}
				seen.Store(generation, true)
				calls.Add(1)
			}
		})
	}
	for range upgrades {
		before := calls.Load()
		daemontest.Await(t, "calls", func() bool { return t.Failed() || calls.Load() > before+int64(10*callers) })
		if t.Failed() {
			break
		}
		if _, err := d.Upgrade(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	daemontest.Await(t, "the last generation's answer", func() bool {
		_, has := seen.Load(upgrades + 1)
		return t.Failed() || has
	})
	stop()
	calling.Wait()
	t.Logf("%d calls over %d upgrades", calls.Load(), upgrades)
}

// A child dies after it has taken over: the parent serves again, with a new server, and the next upgrade works.
func TestServesAgainAfterACrash(t *testing.T) {
	d, to := start(t)
	c := dial(t, to)
	if got, err := c.by(t.Context()); got != 1 || err != nil {
		t.Fatalf("generation %d, %v", got, err)
	}
	stream, err := c.Watch(t.Context(), new(grpc_health_v1.HealthCheckRequest)) // it keeps the parent
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Upgrade(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.awaitGoAway(t)
	daemontest.SignalServing(t, d, syscall.SIGKILL)
	daemontest.AwaitLog(t, d, `msg="serving again"`)
	again := dial(t, to)
	if got, err := again.by(t.Context(), grpc.WaitForReady(true)); got != 1 || err != nil {
		t.Errorf("generation %d, %v, want 1", got, err)
	}
	if answer, err := stream.Recv(); err != nil {
		t.Errorf("the stream has ended: %v, %v", answer, err)
	}
	if _, err := d.Upgrade(t.Context()); err != nil {
		t.Fatal(err)
	}
	daemontest.Await(t, "the third generation", func() bool {
		got, err := again.by(t.Context())
		if err != nil {
			t.Error(err)
		}
		return err != nil || got == 3
	})
}

// Clients that come at any moment hold up no stop: whom the server has accepted it answers, or it says at once that it does not.
func TestStopUnderNewClients(t *testing.T) {
	for range 5 {
		d, to := start(t)
		ctx, stop := context.WithCancel(t.Context())
		var coming sync.WaitGroup
		var answered atomic.Int64
		for range 4 {
			coming.Go(func() {
				for ctx.Err() == nil {
					c := dial(t, to)
					if _, err := c.by(ctx); err == nil {
						answered.Add(1)
					}
					_ = c.conn.Close()
				}
			})
		}
		daemontest.Await(t, "answers", func() bool { return answered.Load() > 50 })
		if err := d.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		stop()
		coming.Wait()
		if text := d.LogText(); !strings.Contains(text, " cut=0 ") || strings.Contains(text, "draining connections were cut") {
			t.Error("a client was cut at the end of the stop")
		}
	}
}

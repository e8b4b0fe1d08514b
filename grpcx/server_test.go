package grpcx_test

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/grpcx"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loopback"
)

// running is a server of the health service that serves.
type running struct {
	*grpcx.Server
	made   atomic.Int32
	served chan error
}

func serve(t *testing.T, ln net.Listener) *running {
	t.Helper()
	r := &running{served: make(chan error, 1)}
	states := health.NewServer()
	r.Server = &grpcx.Server{New: func() *grpc.Server {
		r.made.Add(1)
		s := grpc.NewServer()
		grpc_health_v1.RegisterHealthServer(s, states)
		return s
	}}
	go func() { r.served <- r.Serve(ln) }()
	t.Cleanup(r.Stop)
	return r
}

func (r *running) wantEnd(t *testing.T, want error) {
	t.Helper()
	select {
	case err := <-r.served:
		if !errors.Is(err, want) {
			t.Errorf("Serve = %v, want %v", err, want)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("Serve goes on")
	}
}

// client is a client with one channel, which tries nothing twice by itself.
type client struct {
	grpc_health_v1.HealthClient
	conn *grpc.ClientConn
}

func dial(t *testing.T, to net.Addr, options ...grpc.DialOption) *client {
	t.Helper()
	options = append(options, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableRetry())
	conn, err := grpc.NewClient("passthrough:///"+to.String(), options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &client{grpc_health_v1.NewHealthClient(conn), conn}
}

func (c *client) want(t *testing.T, want grpc_health_v1.HealthCheckResponse_ServingStatus) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	answer, err := c.Check(ctx, new(grpc_health_v1.HealthCheckRequest))
	if err != nil || answer.GetStatus() != want {
		t.Fatalf("Check = %v, %v, want %v", answer, err, want)
	}
}

// awaitGoAway waits until the client is sent away, as it is when the server has had its time to read.
func (c *client) awaitGoAway(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if !c.conn.WaitForStateChange(ctx, connectivity.Ready) {
		t.Fatal("the client is not sent away")
	}
}

const servingStatus = grpc_health_v1.HealthCheckResponse_SERVING

func newListener(t *testing.T) *listener.Listener {
	t.Helper()
	release := make(chan struct{}) // as a generation that drains has it
	t.Cleanup(func() { close(release) })
	return listener.New(loopback.Listen(t, "tcp"), listener.Options{Group: "rpc", Release: release})
}

// On a listener that is not gozd's it is grpc-go.
func TestAnyListener(t *testing.T) {
	ln := loopback.Listen(t, "tcp")
	r := serve(t, ln)
	c := dial(t, ln.Addr())
	c.want(t, servingStatus)
	r.GracefulStop()
	r.wantEnd(t, nil)
	if err := r.Serve(loopback.Listen(t, "tcp")); !errors.Is(err, grpc.ErrServerStopped) {
		t.Errorf("Serve after it = %v", err)
	}
}

// The program ends it at any time: while it serves, while it drains, and when the server has gone that drained.
func TestProgramsStop(t *testing.T) {
	for _, tt := range []struct {
		name  string
		drain bool
		gone  bool // and its client has been sent away
		stop  func(*grpcx.Server)
	}{
		{"serving", false, false, (*grpcx.Server).Stop},
		{"serving, gracefully", false, false, (*grpcx.Server).GracefulStop},
		{"draining", true, false, (*grpcx.Server).Stop},
		{"drained", true, true, (*grpcx.Server).GracefulStop},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ln := newListener(t)
			r := serve(t, ln)
			c := dial(t, ln.Addr())
			c.want(t, servingStatus)
			if tt.drain {
				ln.StopAccepting()
			}
			if tt.gone {
				c.awaitGoAway(t)
			}
			tt.stop(r.Server)
			r.wantEnd(t, nil)
		})
	}
}

// While the generation drains its client is sent away, and what it has begun ends here. Serve returns when the generation may end.
func TestDrain(t *testing.T) {
	ln := newListener(t)
	r := serve(t, ln)
	c := dial(t, ln.Addr())
	c.want(t, servingStatus)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	stream, err := c.Watch(ctx, new(grpc_health_v1.HealthCheckRequest))
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := stream.Recv(); err != nil || answer.GetStatus() != servingStatus {
		t.Fatalf("Recv = %v, %v", answer, err)
	}
	ln.StopAccepting()
	short, end := context.WithTimeout(t.Context(), 4*time.Second)
	defer end()
	if report := ln.Drain(short); report.Cut != 1 { // the stream has all the time that there is
		t.Errorf("Drain = %+v, want one cut", report)
	}
	if _, err := stream.Recv(); err == nil {
		t.Error("the stream goes on")
	}
	_ = ln.Close()
	r.wantEnd(t, net.ErrClosed)
}

// A client that says nothing, or stops in the midst of its first words, holds up nobody: the others are sent away all the same.
func TestSilentClientHoldsNobodyUp(t *testing.T) {
	for _, words := range []string{"", "PRI * HTTP/2.0\r\n", "\x16\x03\x01\x02"} {
		ln := newListener(t)
		r := serve(t, ln)
		silent, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer silent.Close()
		if _, err := silent.Write([]byte(words)); err != nil {
			t.Fatal(err)
		}
		c := dial(t, ln.Addr())
		c.want(t, servingStatus)
		ln.StopAccepting()
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second) // half of what grpc-go waits
		defer cancel()
		if report := ln.Drain(ctx); report.Cut != 0 {
			t.Errorf("%q: Drain = %+v, want none cut", words, report)
		}
		r.Stop()
		r.wantEnd(t, nil)
	}
}

// A generation that serves again does so with a new server, once the old one has begun to stop; before, with the old one.
func TestResume(t *testing.T) {
	for _, late := range []bool{false, true} {
		ln := newListener(t)
		r := serve(t, ln)
		c := dial(t, ln.Addr())
		c.want(t, servingStatus)
		ln.StopAccepting()
		want := int32(1)
		if late {
			c.awaitGoAway(t)
			want = 2
		}
		inner := loopback.Listen(t, "tcp")
		if err := ln.Resume(inner); err != nil {
			t.Fatal(err)
		}
		again := dial(t, inner.Addr())
		ready, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if _, err := again.Check(ready, new(grpc_health_v1.HealthCheckRequest), grpc.WaitForReady(true)); err != nil {
			t.Fatal(err)
		}
		if got := r.made.Load(); got != want {
			t.Errorf("late %v: %d servers, want %d", late, got, want)
		}
		r.Stop()
		r.wantEnd(t, nil)
	}
}

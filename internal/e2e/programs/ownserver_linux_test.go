package programs

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
)

// startOwnServer starts a daemon that shuts down its own server when it drains.
func startOwnServer(t *testing.T, env ...string) *daemon.Daemon {
	t.Helper()
	d := daemontest.Prepare(t, binaries.OwnServer(t), "[web]\nmode http\nlisten 127.0.0.1:0\n")
	d.Env = append(d.Env, env...)
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

// askOnce asks by a connection of its own, and returns the generation that has answered.
func askOnce(address string) (int, error) {
	conn, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		return 0, fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n"); err != nil {
		return 0, fmt.Errorf("ask: %w", err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, fmt.Errorf("answer: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, fmt.Errorf("answer: %w", err)
	}
	return strconv.Atoi(string(body))
}

// askAllTheTime has clients come and go until stop is called, which reports how many were answered. None may be lost.
func askAllTheTime(t *testing.T, address string) (stop func() int64) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	var answered atomic.Int64
	for range 8 {
		clients.Go(func() {
			for ctx.Err() == nil {
				if _, err := askOnce(address); err != nil {
					t.Errorf("after %d answers: %v", answered.Load(), err)
					return
				}
				answered.Add(1)
			}
		})
	}
	stop = func() int64 {
		cancel()
		clients.Wait()
		return answered.Load()
	}
	t.Cleanup(func() { stop() })
	return stop
}

// TestOwnServerIsShutDown has http.Server.Shutdown called in the hook, under a load of clients that have just connected.
func TestOwnServerIsShutDown(t *testing.T) {
	d := startOwnServer(t)
	stop := askAllTheTime(t, daemontest.Target(t, d, "web").Address)
	for n := range 5 {
		daemontest.Upgrade(t, d)
		daemontest.AwaitLog(t, d, fmt.Sprintf("own server of generation %d shut down", n+1))
	}
	if n := stop(); n == 0 {
		t.Error("nobody was answered")
	}
	daemontest.SignalServing(t, d, syscall.SIGTERM) // a stop is a drain too
	daemontest.AwaitLog(t, d, "own server of generation 6 shut down")
	if err := daemontest.WaitAlive(t, d, 0, 20*time.Second); err != nil {
		t.Error(err)
	}
}

// holdHalf has a client that does not send all of its request.
func holdHalf(t *testing.T, d *daemon.Daemon) {
	t.Helper()
	conn, err := net.Dial("tcp", daemontest.Target(t, d, "web").Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := askOnce(conn.RemoteAddr().String()); err != nil { // the one before has been accepted
		t.Fatal(err)
	}
}

// shutOwnServer upgrades a daemon whose old generation is kept by a client, until its server has been shut down, and returns the new one.
func shutOwnServer(t *testing.T, d *daemon.Daemon) *process.State {
	t.Helper()
	holdHalf(t, d)
	const closed = "http: Server closed"
	before := strings.Count(d.LogText(), closed)
	daemontest.Upgrade(t, d)
	daemontest.Await(t, "the server is shut down", func() bool { return strings.Count(d.LogText(), closed) > before })
	s, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestClosedGroupIsNotServedAgain has the successor die when the program has closed its listener: nobody may say that it serves.
func TestClosedGroupIsNotServedAgain(t *testing.T) {
	d := startOwnServer(t)
	address := daemontest.Target(t, d, "web").Address
	victim := shutOwnServer(t, d)
	daemontest.AwaitLog(t, d, `msg="the program has closed a group: this generation would not serve again"`)
	signalState(t, victim, syscall.SIGKILL)
	awaitUnlocked(t, d)
	daemontest.Await(t, "the daemon refuses clients", func() bool {
		conn, err := net.DialTimeout("tcp", address, 10*time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	})
	if err := d.Start(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestClosedGroupIsTakenAgain has OnResume serve the group with a new server.
func TestClosedGroupIsTakenAgain(t *testing.T) {
	d := startOwnServer(t, "OWNSERVER_RESUME=yes")
	address := daemontest.Target(t, d, "web").Address
	for round := range 2 {
		victim := shutOwnServer(t, d)
		signalState(t, victim, syscall.SIGKILL)
		awaitServing(t, d, 1)
		if by, err := askOnce(address); err != nil || by != 1 {
			t.Errorf("round %d: answered by generation %d, %v, want 1", round, by, err)
		}
	}
	holdHalf(t, d)
	daemontest.Upgrade(t, d)
	victim := awaitServing(t, d, 4)
	signalState(t, victim, syscall.SIGKILL) // before the server is shut down, most likely: there is nothing to take again
	awaitServing(t, d, 1)
	daemontest.Upgrade(t, d)
	daemontest.Await(t, "generation 5 answers", func() bool { // for an instant the old one accepts still
		by, err := askOnce(address)
		if err != nil {
			t.Fatal(err)
		}
		return by == 5
	})
}

// TestIgnoredSignalIsSaid: an operator who sends it would wait in vain.
func TestIgnoredSignalIsSaid(t *testing.T) {
	d := startOwnServer(t, "OWNSERVER_IGNORE=yes")
	daemontest.AwaitLog(t, d, `msg="the program ignores a signal: the daemon cannot be asked by it"`)
	daemontest.AwaitLog(t, d, `signal=hangup`)
}

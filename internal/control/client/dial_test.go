//go:build unix

package client_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

func TestDialServing(t *testing.T) {
	pidfile := pidfileIn(t)
	asDaemon(t, pidfile, process.State{Control: true, Since: time.Now()})
	go func() { // the socket comes a moment later
		time.Sleep(20 * time.Millisecond)
		serve(t, pidfile, answering(http.StatusOK, `{"generation":7}`))
	}()
	c, err := client.Dial(within(t), pidfile)
	if err != nil {
		t.Fatal(err)
	}
	if s, err := c.Status(within(t)); err != nil || s.Generation != 7 || c.PID() != os.Getpid() || c.Path() != protocol.SocketPath(pidfile, os.Getpid()) {
		t.Errorf("pid %d at %s: %+v, %v", c.PID(), c.Path(), s, err)
	}
}

func TestDialNoSocket(t *testing.T) {
	for name, s := range map[string]process.State{
		"older version": {Since: time.Now()},
		"could not":     {Control: true, Since: time.Now().Add(-time.Hour)},
	} {
		pidfile := pidfileIn(t)
		asDaemon(t, pidfile, s)
		asked := time.Now()
		if _, err := client.Dial(within(t), pidfile); !errors.Is(err, client.ErrNoSocket) || !strings.Contains(err.Error(), protocol.SocketPath(pidfile, os.Getpid())) {
			t.Errorf("%s: %v, want ErrNoSocket and the path", name, err)
		}
		if took := time.Since(asked); took > time.Second {
			t.Errorf("%s: it took %v", name, took)
		}
	}
}

// A process that has been killed has closed its socket, and is not yet gone: it is not running.
func TestDialADyingProcess(t *testing.T) {
	pidfile := pidfileIn(t)
	asDaemon(t, pidfile, process.State{Control: true, Since: time.Now().Add(-time.Hour)})
	ln, err := net.Listen("unix", protocol.SocketPath(pidfile, os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = ln.Close()
	gone := time.AfterFunc(100*time.Millisecond, func() { _ = process.RemoveFiles(pidfile) })
	defer gone.Stop()
	if _, err := client.Dial(within(t), pidfile); !errors.Is(err, process.ErrNotRunning) {
		t.Errorf("Dial: %v, want ErrNotRunning", err)
	}
}

// A generation that is killed before it has answered does not end the question: a status can be asked twice.
func TestAskOneThatIsKilled(t *testing.T) {
	pidfile := pidfileIn(t)
	asDaemon(t, pidfile, process.State{Control: true, Since: time.Now()})
	ln, err := net.Listen("unix", protocol.SocketPath(pidfile, os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			if i%2 == 1 { // otherwise the request, if it has come, is left unread: a reset
				_, _ = conn.Read(make([]byte, 1<<10))
			}
			_ = conn.Close()
		}
	}()
	defer func() { <-done }()
	defer ln.Close()
	calls := 0
	err = client.Ask(within(t), pidfile, func(c *client.Client) error {
		if calls++; calls == 4 {
			_ = process.RemoveFiles(pidfile)
		}
		_, err := c.Status(within(t))
		return err
	})
	if calls != 4 || !errors.Is(err, process.ErrNotRunning) {
		t.Errorf("Ask = %v after %d calls, want ErrNotRunning after 4", err, calls)
	}
}

// A generation that ends between a look and the question has not been asked: who serves by then is, or the daemon does not run.
func TestAskAfterAnEnd(t *testing.T) {
	for name, tt := range map[string]struct {
		runs  bool // the daemon does, by another generation
		calls int
	}{"replaced": {true, 2}, "ended": {false, 1}} {
		_, pidfile := serving(t, answering(http.StatusOK, `{"generation":3}`))
		calls := 0
		err := client.Ask(within(t), pidfile, func(c *client.Client) error {
			if calls++; calls == 2 {
				return nil
			}
			if !tt.runs {
				_ = process.RemoveFiles(pidfile)
			}
			return fmt.Errorf("%d: %w", c.PID(), client.ErrNoSocket)
		})
		if calls != tt.calls || tt.runs && err != nil || !tt.runs && !errors.Is(err, process.ErrNotRunning) {
			t.Errorf("%s: Ask = %v after %d calls", name, err, calls)
		}
	}
}

func TestDialNotRunning(t *testing.T) {
	pidfile := pidfileIn(t)
	if _, err := client.Dial(within(t), pidfile); !errors.Is(err, process.ErrNotRunning) {
		t.Errorf("Dial: %v, want ErrNotRunning", err)
	}
	if _, err := client.DialPID(within(t), pidfile, os.Getpid()); !errors.Is(err, client.ErrNoSocket) {
		t.Errorf("DialPID: %v, want ErrNoSocket", err)
	}
	ln, err := net.Listen("unix", protocol.SocketPath(pidfile, os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = ln.Close() // as after a SIGKILL
	if _, err := client.At(pidfile, os.Getpid()).Status(within(t)); !errors.Is(err, client.ErrNoSocket) {
		t.Errorf("Status at a stale socket: %v, want ErrNoSocket", err)
	}
}

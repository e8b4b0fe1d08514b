package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
)

// front is a web server of somebody else's make that passes requests on to a
// daemon.
type front struct {
	target   load.Target   // where it listens
	errorLog func() string // what it has complained about
}

// startFront runs a web server, which stays in the foreground and logs to the file
// errorLog, until the test is over. It returns when that listens.
func startFront(t *testing.T, to load.Target, errorLog, name string, args ...string) front {
	t.Helper()
	cmd := exec.Command(name, args...)
	var output strings.Builder
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	f := front{to, func() string {
		data, _ := os.ReadFile(errorLog) // there may be none
		return string(data)
	}}
	t.Cleanup(func() {
		// Fast for all of them, but lighttpd ends its connections first; at SIGTERM
		// it would exit with status 1 if it had one.
		_ = cmd.Process.Signal(syscall.SIGINT)
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v: %s", name, err, output.String())
		}
		if t.Failed() {
			t.Logf("the error log of %s:\n%s", name, f.errorLog())
		}
	})
	awaitListening(t, to)
	return f
}

// awaitListening waits until somebody accepts.
func awaitListening(t *testing.T, to load.Target) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		conn, err := net.Dial(to.Network, to.Address)
		if err == nil {
			_ = conn.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// reservePort returns an address for a program that cannot be told port 0. Until
// the test is over nobody gets the port who asks for any: a connection has it. That
// is in nobody's way who asks for this one, with SO_REUSEADDR as servers do.
func reservePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	held, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = client.Close(), held.Close() })
	return ln.Addr().String()
}

// passable lets a web server that has given up root reach the socket of a daemon
// in dir.
func passable(t *testing.T, dir string) {
	t.Helper()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
}

// writeConf writes a web server's configuration and returns its path.
func writeConf(t *testing.T, dir, text string) string {
	t.Helper()
	path := filepath.Join(dir, "front.conf")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// upgradeBehind upgrades a daemon twenty times while keep-alive clients post to it
// through a web server, with pauses and without. Every generation has to answer,
// and none may fail.
func upgradeBehind(t *testing.T, d *daemon.Daemon, f front) {
	t.Helper()
	const upgrades = 20
	l := load.New(nil)
	l.Add("POST of 0 bytes", 2, func() (load.Client, error) { return &emptyPost{to: f.target}, nil })
	for _, size := range []int{1, 200_000} {
		l.Add(fmt.Sprintf("POST of %d bytes", size), 2, func() (load.Client, error) {
			return load.NewKeepAlive(f.target, load.KeepAliveOptions{BodySize: size, Think: 5 * time.Millisecond})
		})
	}
	l.Add("POST without a pause", 2, func() (load.Client, error) {
		return load.NewKeepAlive(f.target, load.KeepAliveOptions{BodySize: 100})
	})
	l.Start(t.Context())
	for generation := 1; ; generation++ {
		awaitServed(t, l.Recorder(), generation)
		if generation > upgrades {
			break
		}
		upgrade(t, d)
	}
	if err := l.Stop(); err != nil {
		t.Error(err)
	}
	wantNoneFailed(t, l.Recorder())
	for _, s := range l.Recorder().Snapshot().Kinds {
		wantServed(t, s, 1, upgrades+1)
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

// emptyPost is the user of load.KeepAlive who sends no body at all, which that one
// does not: POST /echo without a byte, over and over on one connection.
type emptyPost struct {
	to   load.Target
	conn net.Conn
	r    *bufio.Reader
}

// Do implements load.Client.
func (c *emptyPost) Do(ctx context.Context) (load.Reply, error) {
	start := time.Now()
	r, err := c.exchange(ctx)
	r.Took = time.Since(start)
	if err != nil {
		_ = c.Close()
	}
	return r, err
}

func (c *emptyPost) exchange(ctx context.Context) (load.Reply, error) {
	var r load.Reply
	if c.conn == nil {
		conn, err := new(net.Dialer).DialContext(ctx, c.to.Network, c.to.Address)
		if err != nil {
			return r, err
		}
		c.conn, c.r = conn, bufio.NewReader(conn)
		r.Dialed = true
	}
	_ = c.conn.SetDeadline(time.Now().Add(load.DefaultTimeout))
	if _, err := io.WriteString(c.conn, "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"); err != nil {
		return r, err
	}
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return r, err
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return r, err
	}
	if len(body) > 0 || resp.StatusCode != http.StatusOK || resp.Close {
		return r, fmt.Errorf("status %d, close %v, body %q", resp.StatusCode, resp.Close, body)
	}
	r.Generation, err = strconv.Atoi(resp.Header.Get("X-Gozd-Generation"))
	return r, err
}

// Close implements load.Client.
func (c *emptyPost) Close() error {
	if c.conn == nil {
		return nil
	}
	err := c.conn.Close()
	c.conn = nil
	return err
}

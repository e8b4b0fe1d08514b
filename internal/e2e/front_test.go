package e2e

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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
	deadline := time.Now().Add(30 * time.Second)
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
	for name, size := range map[string]int{"0": load.NoBody, "1": 1, "200,000": 200_000} {
		l.Add("POST of "+name+" bytes", 2, func() (load.Client, error) {
			return load.NewKeepAlive(f.target, load.KeepAliveOptions{BodySize: size, Think: 5 * time.Millisecond})
		})
	}
	l.Add("POST without a pause", 2, func() (load.Client, error) {
		return load.NewKeepAlive(f.target, load.KeepAliveOptions{BodySize: 100})
	})
	upgradeUnderLoad(t, d, l, upgrades)
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

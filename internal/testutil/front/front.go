// Package front has tests put a web server in front of a daemon.
package front

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
)

// Server is a web server of somebody else's make that passes requests on to a
// daemon.
type Server struct {
	Target   load.Target   // where it listens
	ErrorLog func() string // what it has complained about
}

// Start runs a web server, which stays in the foreground and logs to the file
// errorLog, until the test is over. It returns when that listens.
func Start(t *testing.T, to load.Target, errorLog, name string, args ...string) Server {
	t.Helper()
	cmd := exec.Command(name, args...)
	var output strings.Builder
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	f := Server{to, func() string {
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
			t.Logf("the error log of %s:\n%s", name, f.ErrorLog())
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

// WriteConf writes a web server's configuration and returns its path.
func WriteConf(t *testing.T, dir, text string) string {
	t.Helper()
	path := filepath.Join(dir, "front.conf")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

//go:build unix

package main

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/shortdir"
)

// A daemon whose PID file an upgrade has just moved serves on, and nothing is started beside it.
func TestRestartWhileThePIDFileMoves(t *testing.T) {
	dir := shortdir.Make(t)
	pidfile, next, started := filepath.Join(dir, "app.pid"), filepath.Join(dir, "next.pid"), filepath.Join(dir, "started")
	start, err := process.StartTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for file, s := range map[string]process.State{
		pidfile: {PID: os.Getpid(), StartTime: start, Generation: 1, Control: true, Since: time.Now()},
		next:    {PID: os.Getppid(), Generation: 2},
	} {
		lock, err := process.Acquire(file)
		if err != nil {
			t.Fatal(err)
		}
		defer lock.Leave()
		if err := process.WriteState(file, &s); err != nil {
			t.Fatal(err)
		}
	}
	ln, err := net.Listen("unix", protocol.SocketPath(pidfile, os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `{"generation":1,"pidfile":%q}`, next)
	})}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = srv.Serve(ln)
	}()
	defer func() {
		_ = srv.Close()
		<-served
	}()
	var stdout, stderr bytes.Buffer
	status := run(t.Context(), []string{"restart", pidfile, "--", "touch", started}, &stdout, &stderr)
	if _, err := os.Lstat(started); err == nil || status != statusNotRunning || !strings.Contains(stderr.String(), "nothing was started") {
		t.Errorf("status %d, the program was started: %v: %s%s", status, err == nil, &stdout, &stderr)
	}
}

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
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/stranger"
)

// A daemon that says that it is rolled back, and has ended, or has its files name another's process, is not believed: its user can have it answer
// anything.
func TestRollbackThatIsALie(t *testing.T) {
	other, since := stranger.Process(t)
	for name, lie := range map[string]func(pidfile string) error{
		"ended": process.RemoveFiles,
		"another user's process": func(pidfile string) error {
			return process.WriteState(pidfile, &process.State{PID: other, StartTime: since, Generation: 1})
		},
		"no process": func(pidfile string) error {
			return process.WriteState(pidfile, &process.State{PID: 1 << 22, StartTime: 1, Generation: 1})
		},
	} {
		t.Run(name, func(t *testing.T) {
			pidfile := filepath.Join(shortdir.Make(t), "app.pid")
			end := lying(t, pidfile, lie)
			defer end()
			var stdout, stderr bytes.Buffer
			if status := run(t.Context(), []string{"rollback", pidfile}, &stdout, &stderr); status == 0 || strings.Contains(stdout.String(), "serves") {
				t.Errorf("status %d: %s%s", status, &stdout, &stderr)
			}
		})
	}
}

// lying makes this process a daemon that does something else than it answers, until end is called.
func lying(t *testing.T, pidfile string, lie func(pidfile string) error) (end func()) {
	t.Helper()
	lock, err := process.Acquire(pidfile)
	if err != nil {
		t.Fatal(err)
	}
	start, err := process.StartTime(os.Getpid())
	if err == nil {
		err = process.WriteState(pidfile, &process.State{PID: os.Getpid(), StartTime: start, Generation: 1, Control: true, Since: time.Now()})
	}
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("unix", protocol.SocketPath(pidfile, os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err := lie(pidfile); err != nil {
			t.Error(err)
		}
		_, _ = fmt.Fprintf(w, `{"generation":7,"pid":1}`)
	})}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = srv.Serve(ln)
	}()
	return func() {
		_ = srv.Close()
		<-served
		lock.Leave()
	}
}

package daemontest

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
)

// ProcessesOf returns the processes that run a binary in the daemon's directory, but not
// those that are dead and not waited for.
func ProcessesOf(t *testing.T, d *daemon.Daemon) []string {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		t.Fatal(err)
	}
	var pids []string
	for _, link := range links {
		if exe, err := os.Readlink(link); err == nil && strings.HasPrefix(exe, d.Dir+"/") {
			pids = append(pids, filepath.Base(filepath.Dir(link)))
		}
	}
	return pids
}

// SignalServing signals the serving generation, as an operator does by the PID
// file.
func SignalServing(t *testing.T, d *daemon.Daemon, sig os.Signal) {
	t.Helper()
	for {
		r, err := process.Await(t.Context(), d.PIDFile)
		if err != nil {
			t.Fatal(err)
		}
		err = r.Signal(sig)
		r.Close()
		if err == nil {
			return
		}
		if !errors.Is(err, os.ErrProcessDone) { // it has been replaced, and has ended, in between
			t.Fatal(err)
		}
	}
}

// WantNothingLeft checks that only what the operator made is in the directory.
func WantNothingLeft(t *testing.T, d *daemon.Daemon) {
	t.Helper()
	entries, err := os.ReadDir(d.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		switch e.Name() {
		case "app.conf", "app.log", "key.pem", "cert.pem", filepath.Base(d.Binary):
		default:
			t.Errorf("%s is left", e.Name())
		}
	}
}

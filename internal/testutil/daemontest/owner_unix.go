package daemontest

import (
	"os"
	"path/filepath"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
)

// GiveAway has a daemon's directory, and what is in it, belong to the user nobody.
func GiveAway(t *testing.T, d *daemon.Daemon) {
	t.Helper()
	uid, err := process.LookupUser("nobody")
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.OpenFile(d.Log, os.O_CREATE, 0o640)
	if err != nil {
		t.Fatal(err)
	}
	_ = log.Close()
	files, err := filepath.Glob(d.Dir + "/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(files, d.Dir) {
		if err := os.Lchown(path, uid, -1); err != nil {
			t.Fatal(err)
		}
	}
}

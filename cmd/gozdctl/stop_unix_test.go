//go:build unix

package main

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/shortdir"
)

// Where the time is over before the stop is asked, nothing has changed, and that is said.
func TestStopThatIsNotAsked(t *testing.T) {
	pidfile := filepath.Join(shortdir.Make(t), "app.pid")
	ctx, interrupt := context.WithCancel(t.Context())
	end := lying(t, pidfile, func(string) error { interrupt(); return nil }) // it is asked for its status first
	defer end()
	var stdout, stderr bytes.Buffer
	status := run(ctx, []string{"stop", pidfile}, &stdout, &stderr)
	if status != statusFailed || !strings.Contains(stderr.String(), "has not been asked") || strings.Contains(stderr.String(), "may still") {
		t.Errorf("status %d: %s%s", status, &stdout, &stderr)
	}
}

// A daemon that says that it ends, and whose files are gone, has not ended as long as the process lives that has answered.
func TestStopThatIsALie(t *testing.T) {
	pidfile := filepath.Join(shortdir.Make(t), "app.pid")
	end := lying(t, pidfile, process.RemoveFiles)
	defer end()
	var stdout, stderr bytes.Buffer
	if status := run(t.Context(), []string{"stop", "--timeout", "1s", pidfile}, &stdout, &stderr); status == 0 || strings.Contains(stdout.String(), "stopped") {
		t.Errorf("status %d: %s%s", status, &stdout, &stderr)
	}
}

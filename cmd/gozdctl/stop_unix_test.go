//go:build unix

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/shortdir"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/stranger"
)

// Nobody waits for another user's process because a daemon calls it an older generation.
func TestOlderGenerationsOfAnother(t *testing.T) {
	other, since := stranger.Process(t)
	started, err := process.StartTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	all := []protocol.Generation{
		{Generation: 1, PID: other, StartTime: since},
		{Generation: 2, PID: os.Getpid(), StartTime: started},
	}
	if got := own(all, "app.pid", os.Getuid()); len(got) != 1 || got[0].PID != os.Getpid() {
		t.Errorf("own = %+v, want this process alone", got)
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

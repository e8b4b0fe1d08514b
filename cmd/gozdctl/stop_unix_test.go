//go:build unix

package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
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
	anothers := func(g protocol.Generation) bool { return isAnothers(g, "app.pid", os.Getuid()) }
	if got := own(t.Context(), all, anothers); len(got) != 1 || got[0].PID != os.Getpid() {
		t.Errorf("own = %+v, want this process alone", got)
	}
}

// A daemon can name as many generations as it likes, and keeps nobody from the stop by it.
func TestGenerationsAreLookedAtOnce(t *testing.T) {
	all := slices.Repeat([]protocol.Generation{{PID: 8}, {PID: 9}}, 500)
	looked := 0
	got := own(t.Context(), all, func(protocol.Generation) bool { looked++; return false })
	if looked != 2 || len(got) != 2 {
		t.Errorf("%d looks at two processes, own = %+v", looked, got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	looked = 0
	got = own(ctx, all, func(protocol.Generation) bool { looked++; cancel(); return false })
	if looked != 1 || len(got) != 1 {
		t.Errorf("%d looks after the end, own = %+v", looked, got)
	}
}

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

//go:build unix

package main

import (
	"os"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
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

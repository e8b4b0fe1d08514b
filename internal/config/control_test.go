package config_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
)

// TestPIDFileLeavesRoomForControlSockets measures with the longest name that one can have.
func TestPIDFileLeavesRoomForControlSockets(t *testing.T) {
	const maxPID = 4194304 // of Linux; elsewhere it is lower
	limit := config.MaxSocketPath(runtime.GOOS)
	longest := "/" + strings.Repeat("x", limit-len(protocol.SocketPath("/", maxPID)))
	if got := len(protocol.SocketPath(longest, maxPID)); got != limit {
		t.Fatalf("the path has %d bytes, want %d", got, limit)
	}
	parse := func(pidfile string) error {
		_, err := config.Parse("app.conf", []byte("[gozd]\npidfile "+pidfile+"\n"+ok), config.Options{})
		return err
	}
	if err := parse(longest); err != nil {
		t.Errorf("%d bytes: %v", len(longest), err)
	}
	want := fmt.Sprintf("app.conf:2: [gozd]: pidfile %q is too long for the control sockets beside it: it can have %d bytes on %s, and has %d",
		longest+"x", len(longest), runtime.GOOS, len(longest)+1)
	if err := parse(longest + "x"); err == nil || err.Error() != want {
		t.Errorf("one more: %v\nwant %s", err, want)
	}
}

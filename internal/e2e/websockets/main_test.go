package websockets

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

// folder has the programs.
var folder string

func run(m *testing.M) int {
	var err error
	if folder, err = os.MkdirTemp("", "websockets-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(folder) }()
	return daemontest.Run(m)
}

// program builds the program once, and mute that without Resume. Both return the path.
var (
	program = sync.OnceValues(func() (string, error) { return build("program", "") })
	mute    = sync.OnceValues(func() (string, error) { return build("mute", "mute") })
)

func build(name, version string) (string, error) {
	out := filepath.Join(folder, name)
	return out, daemon.Build(context.Background(), out, "internal/e2e/websockets/program", version)
}

package grpcx_test

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

// folder has the program.
var folder string

func run(m *testing.M) int {
	var err error
	if folder, err = os.MkdirTemp("", "grpcx-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(folder) }()
	return daemontest.Run(m)
}

// program builds internal/program once, and returns its path.
var program = sync.OnceValues(func() (string, error) {
	out := filepath.Join(folder, "program")
	return out, daemon.Build(context.Background(), out, "grpcx/internal/program", "")
})

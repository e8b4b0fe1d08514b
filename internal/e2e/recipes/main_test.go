package recipes

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
)

func TestMain(m *testing.M) {
	flag.Parse()
	// Most of the time the tests wait for generations to drain.
	err := flag.Set("test.parallel", "6")
	binaries, err2 := os.MkdirTemp("", "gozd-recipes-")
	if err = errors.Join(err, err2); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	build = sync.OnceValues(func() (string, error) { return binaries, buildAll(binaries) })
	status := daemontest.RunLong(m)
	_ = os.RemoveAll(binaries)
	os.Exit(status)
}

// build makes all programs, once, and returns where they are.
var build func() (dir string, err error)

// buildAll builds without the race detector, which would have all that the recipes require compiled once more.
func buildAll(dir string) error {
	if output, err := exec.Command("go", "build", "-o", dir+string(os.PathSeparator), "./...").CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w\n%s", err, output)
	}
	return nil
}

// program returns the path of a recipe's program.
func program(t *testing.T, name string) string {
	t.Helper()
	dir, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

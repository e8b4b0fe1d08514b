package systemd

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

const modulePath = "bitbucket.org/PinIdea/go-zero-downtime-daemon/"

// programs are what the tests install, by the name of their binary.
var programs = map[string]string{"mixed": "examples/mixed", "faulty": "internal/testutil/faulty", "gozdctl": "cmd/gozdctl"}

// binaries is where they are built once. They are what would be shipped, without the race detector: the
// units allow no more than that, and all machines have to run them.
var binaries string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "gozd-e2e-systemd-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binaries = dir
	for name, folder := range programs {
		cmd := exec.Command("go", "build", "-o", filepath.Join(dir, name), modulePath+folder)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build %s: %v\n%s", folder, err, out)
			return 1
		}
	}
	status := m.Run()
	if err := goleak.Find(); err != nil && status == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return status
}

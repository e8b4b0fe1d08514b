package systemd

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
)

const modulePath = "bitbucket.org/PinIdea/go-zero-downtime-daemon/"

// programs are what the tests install, by the name of their binary.
var programs = map[string]string{"mixed": "examples/mixed", "udp": "examples/udp", "faulty": "internal/testutil/faulty", "overlapping": "internal/testutil/overlapping", "gozdctl": "cmd/gozdctl"}

// binaries is where they are once build has built them. They are what would be shipped, without the race detector: the
// units allow no more than that, and all machines have to run them.
var binaries string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	defer func() {
		if binaries != "" {
			_ = os.RemoveAll(binaries)
		}
	}()
	return daemontest.RunLong(m)
}

// build is for the first test that is not skipped.
var build = sync.OnceValue(func() (err error) {
	if binaries, err = os.MkdirTemp("", "gozd-e2e-systemd-"); err != nil {
		return err
	}
	for name, folder := range programs {
		cmd := exec.Command("go", "build", "-o", filepath.Join(binaries, name), modulePath+folder)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", folder, err, out)
		}
	}
	return nil
})

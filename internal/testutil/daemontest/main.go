// Package daemontest has tests start daemons and do things to them. What it starts
// ends with the test, and what goes wrong fails it.
package daemontest

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
)

// RunLong is [Run] for a package whose tests take long. With -short it runs none of them, and
// go test says "no tests to run" of the package.
func RunLong(m *testing.M) int {
	flag.Parse()
	if testing.Short() {
		if err := flag.Set("test.skip", "."); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		fmt.Println("-short leaves out the tests of this package, which take long")
	}
	return Run(m)
}

// Run runs the tests of a package for its TestMain, which exits with the status that
// it returns. Tests that leave a goroutine behind fail.
func Run(m *testing.M) int {
	// A process with the race detector sleeps for a second before it ends, for
	// reports that might come late; these tests look into the log.
	if err := os.Setenv("GORACE", "atexit_sleep_ms=0"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	status := m.Run()
	if status == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			status = 1
		}
	}
	if err := binaries.Remove(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return status
}

// Package reexec has a test start its own binary again, to be a process of another
// kind. What that does is a role.
package reexec

import (
	"fmt"
	"os"
	"os/exec"
	"testing"

	"go.uber.org/goleak"
)

// Env is the variable that names the role of a process.
const Env = "GOZD_TEST_ROLE"

// Main is all that a TestMain does. It plays the role for which this process has been
// started; a process without one runs the tests, which must leave no goroutine behind.
func Main(m *testing.M, roles map[string]func()) {
	if play := roles[os.Getenv(Env)]; play != nil {
		play()
		return
	}
	goleak.VerifyTestMain(m)
}

// OrFail makes a role of a function. If that returns an error, the process prints it and
// exits with status 1.
func OrFail(play func() error) func() {
	return func() {
		if err := play(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

// Command returns a command that has this binary play a role, with further variables
// in its environment. It is killed at the end of the test, if it still runs.
func Command(tb testing.TB, role string, env ...string) *exec.Cmd {
	tb.Helper()
	cmd := exec.CommandContext(tb.Context(), os.Args[0])
	// With the race detector a process would sleep for a second before it ends.
	cmd.Env = append(append(os.Environ(), Env+"="+role, "GORACE=atexit_sleep_ms=0"), env...)
	return cmd
}

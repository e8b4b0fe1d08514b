// Package require has tests ask for what they need of the machine.
package require

import (
	"os"
	"os/exec"
	"runtime"
	"testing"
)

// Env is the variable that makes a test fail where it would be skipped: with
// GOZD_REQUIRE=1, as in CI, nothing that is tested elsewhere goes untested.
const Env = "GOZD_REQUIRE"

// Tool returns the path of the program name. If there is none the test is
// skipped, and says where the program would come from ("package strace").
func Tool(tb testing.TB, name, from string) string {
	tb.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		Missing(tb, name+" is not installed ("+from+")")
	}
	return path
}

// Missing skips the test for the reason given, or fails it under [Env].
func Missing(tb testing.TB, reason string) {
	tb.Helper()
	if os.Getenv(Env) == "1" {
		tb.Fatalf("%s, and %s=1 forbids to skip", reason, Env)
	}
	tb.Skip(reason)
}

// Root is for a test that only root can do.
func Root(tb testing.TB) {
	tb.Helper()
	if os.Geteuid() != 0 {
		Missing(tb, "this is not root")
	}
}

// Linux is for a test of what its kernel says, or of what is in its /proc.
func Linux(tb testing.TB) {
	tb.Helper()
	if runtime.GOOS != "linux" {
		Missing(tb, "this is not Linux")
	}
}

package fault_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fault"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
)

// TestNothingRemains looks for this package in a program that is built as anybody
// builds it, and in one with the tag, which shows that there would be something to be
// found.
func TestNothingRemains(t *testing.T) {
	if normal := build(t); holdsFaults(t, normal) {
		t.Error("a program built without the tag has fault injection in it")
	}
	if tagged := build(t, "gozd_fault"); !holdsFaults(t, tagged) {
		t.Error("a program built with the tag has no fault injection in it")
	}
}

func build(t *testing.T, tags ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "minimal")
	if err := daemon.Build(context.Background(), out, "examples/minimal", "", tags...); err != nil {
		t.Fatal(err)
	}
	return out
}

// holdsFaults reports whether a program has code of this package, or the names of
// its points and of its variable.
func holdsFaults(t *testing.T, program string) bool {
	t.Helper()
	symbols, err := exec.CommandContext(t.Context(), "go", "tool", "nm", program).Output()
	if err != nil {
		t.Fatal(err)
	}
	if len(symbols) == 0 {
		t.Fatal("go tool nm lists no symbols")
	}
	data, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(symbols), "/internal/fault.") ||
		bytes.Contains(data, []byte(fault.Dir)) || bytes.Contains(data, []byte(fault.BeforeDescriptors))
}

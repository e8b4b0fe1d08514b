package require_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// fakeTB notes how a test ends.
type fakeTB struct {
	testing.TB
	outcome string
}

func (f *fakeTB) Helper() {}

func (f *fakeTB) Skip(args ...any) {
	f.outcome = "skip: " + fmt.Sprint(args...)
	runtime.Goexit()
}

func (f *fakeTB) Fatalf(format string, args ...any) {
	f.outcome = "fatal: " + fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// outcome runs Tool as a test would, and returns how that ended.
func outcome(name string) string {
	tb := new(fakeTB)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tb.outcome = "found " + require.Tool(tb, name, "package "+name)
	}()
	<-done
	return tb.outcome
}

func TestTool(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	t.Setenv(require.Env, "")
	if got, want := outcome("tool"), "skip: tool is not installed (package tool)"; got != want {
		t.Errorf("without the tool: %q, want %q", got, want)
	}
	t.Setenv(require.Env, "1")
	if got := outcome("tool"); !strings.HasPrefix(got, "fatal: tool is not installed (package tool)") {
		t.Errorf("without the tool, required: %q, want fatal", got)
	}
	name := "tool"
	if runtime.GOOS == "windows" {
		name = "tool.exe"
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if got, want := outcome(name), "found "+path; got != want {
		t.Errorf("with the tool: %q, want %q", got, want)
	}
}

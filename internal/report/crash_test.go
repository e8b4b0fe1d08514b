//go:build unix

package report_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/report"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/reexec"
)

func init() {
	roles["panic"] = says(crashHere)
	roles["goroutine"] = says(crashElsewhere)
	roles["method"] = says(func(*report.Writer) { new(crasher).crash() })
	roles["nil map"] = says(func(*report.Writer) { writeToMap(nil) })
	roles["nil pointer"] = says(func(w *report.Writer) { readThrough(nil, w) })
	roles["fatal error"] = says(unlockTwice)
	roles["stack overflow"] = says(func(*report.Writer) { debug.SetMaxStack(64 << 10); os.Exit(dive(0)) })
	roles["abort"] = says(abort)
	roles["huge line"] = says(crashHuge)
	roles["crowd"] = says(crashInCrowd)
	roles["exit"] = says(func(*report.Writer) {})
	roles["fail"] = says(func(w *report.Writer) { w.Fail("listen", errors.New("no socket")) })
	roles["crash into a file"] = reexec.OrFail(crashIntoFile)
	roles["panic after ready"] = says(crashServing)
}

// says is the process that starts. Its pipe is the first of
// exec.Cmd.ExtraFiles.
func says(do func(w *report.Writer)) func() {
	return func() { do(report.NewWriter(os.NewFile(3, "report"))) }
}

// The functions that crash have names, because the names are what a report has
// to find.

func crashHere(*report.Writer) { panic("boom") }

func crashElsewhere(*report.Writer) {
	go crashHere(nil)
	select {}
}

type crasher struct{}

func (*crasher) crash() { panic(fmt.Errorf("outer: %w", errors.New("inner"))) }

func writeToMap(m map[string]int) { m[os.Args[0]] = 1 }

func readThrough(o *report.Outcome, w *report.Writer) { w.Fail(o.Stage, nil) }

func unlockTwice(*report.Writer) {
	var mu sync.Mutex
	mu.Unlock()
}

func dive(depth int) int {
	if depth < 0 {
		return 0
	}
	return dive(depth+1) + 1
}

func abort(*report.Writer) {
	_ = syscall.Kill(os.Getpid(), syscall.SIGABRT)
	select {}
}

// crashHuge panics with more in one line than anybody wants to keep.
func crashHuge(*report.Writer) { panic("boom " + strings.Repeat("x", 8<<20)) }

// crashInCrowd has the runtime print hundreds of goroutines.
func crashInCrowd(*report.Writer) {
	for range 500 {
		go func() { select {} }()
	}
	crashHere(nil)
}

func crashServing(w *report.Writer) {
	w.Ready(nil)
	crashHere(w)
}

// start has this binary play a role, and returns its PID and what it said.
func start(t *testing.T, role string) (int, report.Outcome) {
	t.Helper()
	said, notify, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	cmd := reexec.Command(t, role, "GOTRACEBACK=all")
	cmd.ExtraFiles = []*os.File{notify}
	stderr, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close()
	cmd.Stderr = stderr
	err = cmd.Start()
	notify.Close()
	if err != nil {
		t.Fatal(err)
	}
	out := report.Read(said)
	_ = cmd.Wait() // it crashes, and how it ended is not what is tested
	if out.Error == "" && !out.Ready {
		text, err := os.ReadFile(stderr.Name())
		if err != nil {
			t.Fatal(err)
		}
		out.Error, _ = report.LastWords(string(text[max(0, len(text)-report.MaxStderr):]))
	}
	return cmd.Process.Pid, out
}

// crashIntoFile has a program's own file for crashes, and crashes when it serves.
func crashIntoFile() error {
	f, err := os.Create(os.Getenv("CRASHES"))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := debug.SetCrashOutput(f, debug.CrashOptions{}); err != nil {
		return err
	}
	w := report.NewWriter(os.NewFile(3, "report"))
	w.Ready(nil)
	crashHere(w)
	return nil
}

// TestCrashOutputIsTheProgram has a program whose crashes go into a file of its own.
func TestCrashOutputIsTheProgram(t *testing.T) {
	path := filepath.Join(t.TempDir(), "crashes")
	said, notify, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	cmd := reexec.Command(t, "crash into a file", "CRASHES="+path)
	cmd.ExtraFiles = []*os.File{notify}
	err = cmd.Start()
	notify.Close()
	if err != nil {
		t.Fatal(err)
	}
	out := report.Read(said)
	_ = cmd.Wait() // it crashes, as it is meant to
	if text, err := os.ReadFile(path); err != nil || !out.Ready || !strings.Contains(string(text), "panic: boom") {
		t.Errorf("outcome %+v; the program's own file says %q, %v", out, text, err)
	}
}

func TestLastWordsOfProcesses(t *testing.T) {
	tests := []struct {
		role       string
		ready      bool
		stage      string
		start, end string // of the error, without the line
	}{
		{role: "panic", start: "panic: boom (", end: ".crashHere, crash_test.go:"},
		{role: "goroutine", start: "panic: boom (", end: ".crashHere, crash_test.go:"},
		{role: "method", start: "panic: outer: inner (", end: ".(*crasher).crash, crash_test.go:"},
		{role: "nil map", start: "panic: assignment to entry in nil map (", end: ".writeToMap, crash_test.go:"},
		{role: "nil pointer", start: "panic: runtime error: invalid memory address", end: ".readThrough, crash_test.go:"},
		{role: "fatal error", start: "fatal error: sync: unlock of unlocked mutex (", end: ".Unlock, mutex.go:"},
		{role: "stack overflow", start: "fatal error: stack overflow (", end: ".dive, crash_test.go:"},
		{role: "abort", start: "SIGABRT: abort"},
		{role: "huge line", start: "xxxx", end: ".crashHuge, crash_test.go:"},
		{role: "crowd", start: "panic: boom (", end: ".crashHere, crash_test.go:"},
		{role: "exit"},
		{role: "fail", stage: "listen", start: "no socket", end: "no socket"},
		{role: "panic after ready", ready: true},
	}
	for _, test := range tests {
		t.Run(test.role, func(t *testing.T) {
			pid, out := start(t, test.role)
			if out.PID != pid || out.Ready != test.ready || out.Stage != test.stage {
				t.Errorf("outcome of pid %d = %+v, want ready %v, stage %q", pid, out, test.ready, test.stage)
			}
			text := strings.TrimRight(out.Error, "0123456789)")
			if !strings.HasPrefix(text, test.start) || !strings.HasSuffix(text, test.end) {
				t.Errorf("error = %q, want %q...%q", out.Error, test.start, test.end)
			}
			if test.start == "" && text != "" {
				t.Errorf("error = %q, want none", out.Error)
			}
			if len(text) > 20<<10 || strings.Contains(text, "runtime/") || strings.Contains(text, "runtime.") {
				t.Errorf("error of %d bytes is no summary: %q", len(text), out.Error)
			}
		})
	}
}

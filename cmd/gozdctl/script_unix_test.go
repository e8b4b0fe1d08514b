//go:build unix

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// programs is where the binaries are that scripts start: gozdctl, mixed of two versions,
// and the ones that misbehave.
var programs string

const scriptWait = 30 * time.Second // of a script that waits for something

func TestMain(m *testing.M) {
	status := runTests(m)
	if status == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			status = 1
		}
	}
	os.Exit(status)
}

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "gozdctl-")
	if err == nil {
		defer func() { _ = os.RemoveAll(dir) }()
		err = os.Chmod(dir, 0o755) // others run gozdctl too
	}
	if err == nil {
		err = os.Setenv("GORACE", "atexit_sleep_ms=0") // the race detector sleeps a second at the end
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	daemon.AdoptOrphans()
	programs = dir
	return m.Run()
}

// build compiles what scripts start, once.
func build(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for _, p := range []struct{ name, folder, version string }{
		{"gozdctl", "cmd/gozdctl", ""},
		{"mixed", "examples/mixed", "1"},
		{"faulty", "internal/testutil/faulty", ""},
		{"hooked", "internal/testutil/hooked", ""},
	} {
		path := filepath.Join(programs, p.name)
		if _, err := os.Stat(path); err == nil {
			continue
		}
		if err := daemon.Build(ctx, path, p.folder, p.version); err != nil {
			t.Fatal(err)
		}
	}
}

// TestScript runs testdata/script: each file is what an operator types, and what he sees.
// Their commands are in scriptcommands_unix_test.go.
func TestScript(t *testing.T) { runScripts(t, "script") }

// TestScriptAsAnotherUser runs those of testdata/rootscript, which have the user nobody ask.
func TestScriptAsAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		require.Missing(t, "only root can have somebody else run gozdctl")
	}
	require.Tool(t, "setpriv", "package util-linux")
	runScripts(t, "rootscript")
}

func runScripts(t *testing.T, folder string) {
	t.Helper()
	build(t)
	root, err := os.MkdirTemp("", "ctl-") //nolint:usetesting // t.TempDir is too long for the path of a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", folder),
		WorkdirRoot:         root,
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setUp,
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"gozdctl": scriptGozdctl,
			"normal":  scriptNormal,
			"install": scriptInstall,
			"signal":  scriptSignal,
			"connect": scriptConnect,
			"await":   scriptAwait,
			"serving": scriptServing,
			"ended":   scriptEnded,
			"schema":  scriptSchema,

			"fault":        scriptFault,
			"asnobody":     scriptAsNobody,
			"removesocket": scriptRemoveSocket,
			"killdawdler":  scriptKillDawdler,
		},
	})
}

func setUp(env *testscript.Env) error {
	env.Setenv("PATH", programs+string(filepath.ListSeparator)+env.Getenv("PATH"))
	env.Setenv("GORACE", "atexit_sleep_ms=0")
	work := env.WorkDir
	env.Defer(func() { endProcesses(work) })
	conns := new(heldConns)
	env.Values["connections"] = conns
	env.Defer(conns.close)
	return nil
}

// endProcesses kills the processes whose programs are in a script's directory.
func endProcesses(dir string) {
	for _, pid := range processesIn(dir + "/") {
		_ = syscall.Kill(pid, syscall.SIGKILL)
		daemon.ReapProcess(pid)
	}
}

// processesIn returns the processes whose programs' paths begin so.
func processesIn(prefix string) []int {
	links, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		return nil
	}
	var pids []int
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil || !strings.HasPrefix(target, prefix) {
			continue
		}
		var pid int
		if _, err := fmt.Sscanf(link, "/proc/%d/exe", &pid); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

//go:build unix

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
)

// programs is where the binaries are that scripts start: gozdctl, mixed of two versions,
// and the ones that misbehave.
var programs string

const scriptWait = 20 * time.Second // of a script that waits for something

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
// Their commands are below.
func TestScript(t *testing.T) {
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
		Dir:                 filepath.Join("testdata", "script"),
		WorkdirRoot:         root,
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Condition:           condition,
		Setup:               setUp,
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"gozdctl": scriptGozdctl,
			"normal":  scriptNormal,
			"install": scriptInstall,
			"signal":  scriptSignal,
			"connect": scriptConnect,
			"await":   scriptAwait,
			"serving": scriptServing,

			"fault":        scriptFault,
			"asnobody":     scriptAsNobody,
			"removesocket": scriptRemoveSocket,
			"killdawdler":  scriptKillDawdler,
		},
	})
}

// condition says what a script can be skipped without: [root] is what tests as another user need.
func condition(name string) (bool, error) {
	if name == "root" {
		_, err := exec.LookPath("setpriv")
		return os.Geteuid() == 0 && err == nil, nil
	}
	return false, fmt.Errorf("unknown condition %s", name)
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

// scriptGozdctl is "gozdctl STATUS ARGUMENTS": it runs gozdctl, and wants the exit status. With
// --json the output is held against its schema.
func scriptGozdctl(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: gozdctl STATUS ARGUMENTS")
	}
	wantStatus(ts, args[0], ts.Exec("gozdctl", args[1:]...), args[1:])
}

// scriptAsNobody is gozdctl, run by the user nobody.
func scriptAsNobody(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: asnobody STATUS ARGUMENTS")
	}
	as := []string{"--reuid=65534", "--regid=65534", "--clear-groups", "gozdctl"}
	wantStatus(ts, args[0], ts.Exec("setpriv", append(as, args[1:]...)...), args[1:])
}

// wantStatus looks at how gozdctl has ended, and at its JSON.
func wantStatus(ts *testscript.TestScript, want string, err error, args []string) {
	status := 0
	if err != nil {
		exit, ok := err.(*exec.ExitError)
		if !ok {
			ts.Fatalf("gozdctl: %v", err)
		}
		status = exit.ExitCode()
	}
	if got := fmt.Sprint(status); got != want {
		ts.Fatalf("gozdctl %s: exit status %s, want %s", strings.Join(args, " "), got, want)
	}
	for _, arg := range args {
		if arg == "--json" {
			ts.Check(validateLines(ts.ReadFile("stdout")))
		}
	}
}

// What is another one in every run, in the order in which it is replaced.
var unsteady = []struct {
	pattern *regexp.Regexp
	instead string
}{
	{regexp.MustCompile(`app\.pid\.\d+\.sock`), "app.pid.PID.sock"},
	{regexp.MustCompile(`\bpid[ =]\d+`), "pid PID"},
	{regexp.MustCompile(`"pid":\d+`), `"pid":PID`},
	{regexp.MustCompile(`"(seconds|start_time)":[0-9.e-]+`), `"$1":NUMBER`},
	{regexp.MustCompile(`"\d{4}-\d\d-\d\dT[^"]+"`), `"CLOCK"`},
	{regexp.MustCompile(`(?m)^( +\d+) +\d+  (serving|draining|probation|starting|unresponsive) `), "$1  PID  $2 "},
	{regexp.MustCompile(`\b\d+(\.\d+)? m?s\b`), "TIME"},
	{regexp.MustCompile(`\b\d+ min( \d+ s)?\b`), "TIME"},
	{regexp.MustCompile(`\b\d\d:\d\d:\d\d\b`), "CLOCK"},
	{regexp.MustCompile(`(127\.0\.0\.1|\[::1\]):\d+`), "$1:PORT"},
	{regexp.MustCompile(`\(devel\)|v\d+\.\d+\.\d+\S*|\b[0-9a-f]{7}\+?  `), "VERSION  "},
	{regexp.MustCompile(`(TIME|now)( ago)?  `), "TIME  "},
	{regexp.MustCompile(`  +`), "  "},
}

// scriptNormal is "normal stdout|stderr|FILE": it writes the text into the file "shown", without
// what differs from run to run, for cmp.
func scriptNormal(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: normal stdout|stderr|FILE")
	}
	text := strings.ReplaceAll(ts.ReadFile(args[0]), ts.Getenv("WORK"), "$WORK")
	for _, u := range unsteady {
		text = u.pattern.ReplaceAllString(text, u.instead)
	}
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	ts.Check(os.WriteFile(ts.MkAbs("shown"), []byte(strings.Join(lines, "\n")), 0o600))
}

// scriptInstall is "install PROGRAM PATH": a copy, put there by rename.
func scriptInstall(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: install PROGRAM PATH")
	}
	ts.Check(daemon.Install(filepath.Join(programs, args[0]), ts.MkAbs(args[1])))
}

// scriptSignal is "signal NAME PIDFILE": to the generation that serves.
func scriptSignal(ts *testscript.TestScript, neg bool, args []string) {
	signals := map[string]syscall.Signal{"STOP": syscall.SIGSTOP, "CONT": syscall.SIGCONT, "KILL": syscall.SIGKILL}
	if neg || len(args) != 2 || signals[args[0]] == 0 {
		ts.Fatalf("usage: signal STOP|CONT|KILL PIDFILE")
	}
	r, err := process.Find(ts.MkAbs(args[1]))
	ts.Check(err)
	defer r.Close()
	ts.Check(r.Signal(signals[args[0]]))
	switch args[0] {
	case "STOP": // some of its threads may go on for a moment
		awaitTrue(ts, "the standstill of the daemon", func() bool {
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", r.PID))
			return err != nil || strings.Contains(string(stat), ") T ")
		})
	case "KILL":
		awaitTrue(ts, "the end of the daemon", func() bool {
			daemon.ReapProcess(r.PID)
			_, err := process.StartTime(r.PID)
			return err != nil
		})
	}
}

// scriptServing is "serving PIDFILE GENERATION": that one serves.
func scriptServing(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: serving PIDFILE GENERATION")
	}
	r, err := process.Find(ts.MkAbs(args[0]))
	ts.Check(err)
	defer r.Close()
	if got := fmt.Sprint(r.State.Generation); got != args[1] {
		ts.Fatalf("generation %s serves, want %s", got, args[1])
	}
}

// scriptAwait is "await FILE TEXT": the text is in the file, after a while. Without a text the file is
// there.
func scriptAwait(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: await FILE [TEXT]")
	}
	awaitTrue(ts, strings.Join(args, ": "), func() bool {
		data, err := os.ReadFile(ts.MkAbs(args[0]))
		return err == nil && (len(args) == 1 || strings.Contains(string(data), args[1]))
	})
}

func awaitTrue(ts *testscript.TestScript, what string, is func() bool) {
	for deadline := time.Now().Add(scriptWait); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			ts.Fatalf("after %v there is not yet: %s", scriptWait, what)
		}
	}
}

// scriptFault is "fault TEXT": what the program faulty does from now on.
func scriptFault(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: fault TEXT")
	}
	ts.Check(os.WriteFile(ts.MkAbs("fault"), []byte(args[0]), 0o600))
}

// scriptRemoveSocket is "removesocket PIDFILE": the generation that serves has no control socket any
// more, as one of an older version.
func scriptRemoveSocket(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: removesocket PIDFILE")
	}
	pidfile := ts.MkAbs(args[0])
	s, err := process.ReadState(pidfile)
	ts.Check(err)
	if s.Control {
		_ = os.Remove(protocol.SocketPath(pidfile, s.PID)) // or it was removed before
	}
	s.Control = false
	ts.Check(process.WriteState(pidfile, s))
}

// scriptKillDawdler is "killdawdler PROGRAM": the youngest process of the program, which is about
// to serve, is killed.
func scriptKillDawdler(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: killdawdler PROGRAM")
	}
	s, err := process.ReadState(ts.MkAbs("app.pid"))
	ts.Check(err)
	for _, pid := range processesIn(ts.MkAbs(args[0])) {
		if pid != s.PID {
			ts.Check(syscall.Kill(pid, syscall.SIGKILL))
		}
	}
	ts.Check(os.Remove(ts.MkAbs("dawdles")))
}

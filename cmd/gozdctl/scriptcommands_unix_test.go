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
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
)

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
	{regexp.MustCompile(`\bkill -([A-Z]+) \d+`), "kill -$1 PID"},
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

// scriptSignal is "signal NAME PIDFILE": to the generation that serves. For STOP and CONT a third
// argument can name another generation.
func scriptSignal(ts *testscript.TestScript, neg bool, args []string) {
	signals := map[string]syscall.Signal{"STOP": syscall.SIGSTOP, "CONT": syscall.SIGCONT, "KILL": syscall.SIGKILL, "HUP": syscall.SIGHUP}
	if neg || len(args) < 2 || len(args) > 3 || signals[args[0]] == 0 {
		ts.Fatalf("usage: signal STOP|CONT|KILL|HUP PIDFILE [GENERATION]")
	}
	r := openGeneration(ts, ts.MkAbs(args[1]), args[2:]...)
	defer r.Close()
	ts.Check(r.Signal(signals[args[0]]))
	switch args[0] {
	case "STOP":
		ts.Check(daemon.Freeze(r.PID))
	case "KILL":
		awaitTrue(ts, "the end of the daemon", func() bool {
			daemon.ReapProcess(r.PID)
			_, err := process.StartTime(r.PID)
			return err != nil
		})
	}
}

// openGeneration returns the process of the generation with that number, or of the one that serves.
func openGeneration(ts *testscript.TestScript, pidfile string, number ...string) *process.Process {
	if len(number) == 0 {
		r, err := process.Find(pidfile)
		ts.Check(err)
		return r.Process
	}
	c, err := client.Dial(context.Background(), pidfile)
	ts.Check(err)
	s, err := c.Status(context.Background())
	ts.Check(err)
	for _, g := range s.Generations {
		if fmt.Sprint(g.Generation) == number[0] {
			p, err := process.Open(g.PID, g.StartTime)
			ts.Check(err)
			return p
		}
	}
	ts.Fatalf("there is no generation %s", number[0])
	return nil
}

// scriptEnded is "ended PIDFILE": the process that the file names ends, and is gone afterwards.
func scriptEnded(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: ended PIDFILE")
	}
	pid, err := process.ReadPID(ts.MkAbs(args[0]))
	ts.Check(err)
	awaitTrue(ts, "the end of the process", func() bool {
		daemon.ReapProcess(pid)
		_, err := process.StartTime(pid)
		return err != nil
	})
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
// more, and does not say that it is about to have one.
func scriptRemoveSocket(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: removesocket PIDFILE")
	}
	pidfile := ts.MkAbs(args[0])
	s, err := process.ReadState(pidfile)
	ts.Check(err)
	if s.Control {
		// Where there was no room for it, it comes later than the state file.
		awaitTrue(ts, "the control socket", func() bool { return os.Remove(protocol.SocketPath(pidfile, s.PID)) == nil })
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

// scriptSchema is "schema FILE": each line of it is what --json may print.
func scriptSchema(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: schema FILE")
	}
	ts.Check(validateLines(ts.ReadFile(args[0])))
}

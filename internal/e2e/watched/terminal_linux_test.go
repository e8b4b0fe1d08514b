package watched

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/shortdir"
)

// terminal is a shell in a tmux of its own, in which a daemon runs with -f.
type terminal struct {
	*daemon.Daemon
	t      *testing.T
	tmux   string
	socket string
	first  int // the PID that the shell knows: the supervisor's
}

// onTerminal types the daemon's command into the shell.
func onTerminal(t *testing.T, program string, options ...string) *terminal {
	t.Helper()
	return typed(t, newDaemon(t, program, options...))
}

func typed(t *testing.T, d *daemon.Daemon) *terminal {
	t.Helper()
	return typedAs(t, d, "%s -f -v -c %s; echo status $?")
}

// typedAs is typed with a line that has verbs for the binary and the configuration.
func typedAs(t *testing.T, d *daemon.Daemon, line string) *terminal {
	t.Helper()
	term := &terminal{t: t, tmux: require.Tool(t, "tmux", "package tmux"), Daemon: d}
	daemon.AdoptOrphans()
	term.socket = filepath.Join(term.Dir, "tmux")
	// In words, it is not for the user's own shell to run, which may be none.
	term.run("-f", "/dev/null", "new-session", "-d", "-x", "200", "-y", "50", "bash", "--norc", "--noprofile", "-i")
	t.Cleanup(func() {
		if t.Failed() {
			shown, err := exec.Command(term.tmux, "-S", term.socket, "capture-pane", "-p", "-J", "-S", "-500").CombinedOutput()
			t.Logf("terminal: %v\n%s", err, shown)
		}
		_ = exec.Command(term.tmux, "-S", term.socket, "kill-server").Run() // it is gone if the test has closed it
		if s, err := process.ReadState(term.PIDFile); err == nil {
			if p, err := process.Open(s.PID, s.StartTime); err == nil {
				_ = p.Signal(os.Kill)
				p.Close()
			}
		}
		if t.Failed() {
			t.Logf("log:\n%s", term.LogText())
		}
	})
	term.say(fmt.Sprintf(line, term.Binary, term.Conf))
	await(t, "serving", func() bool { return generation(term.Daemon) == 1 })
	term.first = parent(t, servingPID(t, term.Daemon))
	return term
}

func (term *terminal) run(args ...string) string {
	term.t.Helper()
	out, err := exec.Command(term.tmux, append([]string{"-S", term.socket}, args...)...).CombinedOutput()
	if err != nil {
		term.t.Fatalf("tmux %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// say types a line; key presses a key, such as C-c.
func (term *terminal) say(line string) { term.run("send-keys", "-l", line); term.key("Enter") }
func (term *terminal) key(name string) { term.run("send-keys", name) }
func (term *terminal) shows(text string) bool {
	return strings.Contains(term.run("capture-pane", "-p"), text)
}

// parent is the PID of a process's parent.
func parent(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	must(t, err)
	_, rest, _ := strings.Cut(string(text), ") ")
	n, err := strconv.Atoi(strings.Fields(rest)[1])
	must(t, err)
	return n
}

// state is the letter for what a process does: S sleeping, T stopped, "" for none.
func state(pid int) string {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return rest[:1]
}

// isGoing reports whether a process sleeps, or is busy with something.
func isGoing(pid int) bool {
	s := state(pid)
	return s == "S" || s == "R" || s == "D"
}

// wantOver checks that the shell has its prompt back, and with which status; the program has cleaned up once in each generation.
func (term *terminal) wantOver(status string) {
	term.t.Helper()
	await(term.t, "back at the prompt", func() bool { return term.shows("status " + status) })
	if s := state(term.first); s != "" {
		term.t.Errorf("the first process is still there: %s", s)
	}
}

func TestTerminalUpgradesAndEndsByControlC(t *testing.T) {
	term := onTerminal(t, "watched")
	await(t, "where its output goes", func() bool { return term.shows("its output goes to " + term.Log) })
	for n := 2; n <= 4; n++ { // people send signals to the PID that they know
		must(t, signal(term.first, "HUP"))
		await(t, "upgraded", func() bool { return generation(term.Daemon) == n })
	}
	if s := state(term.first); s == "" || s == "Z" {
		t.Fatalf("the first process has gone (%q): the shell would have its prompt back", s)
	}
	await(t, "drained", func() bool { return strings.Count(term.LogText(), "cleanup of generation") == 3 })
	last := servingPID(t, term.Daemon)
	term.key("C-c")
	term.wantOver("0")
	if s := state(last); s != "" {
		t.Errorf("the last generation is still there: %s", s)
	}
	text := term.LogText()
	for n := 1; n <= 4; n++ {
		if c := strings.Count(text, fmt.Sprintf("cleanup of generation %d\n", n)); c != 1 {
			t.Errorf("generation %d has cleaned up %d times", n, c)
		}
	}
	if c := strings.Count(text, `reason=stop`); c != 2 { // "drain finished" and "done"
		t.Errorf("a stop is in the log %d times, want one drain and one end", c)
	}
}

func signal(pid int, name string) error {
	return exec.Command("kill", "-"+name, strconv.Itoa(pid)).Run()
}

func TestTerminalJobControl(t *testing.T) {
	term := onTerminal(t, "watched")
	must(t, signal(term.first, "HUP"))
	await(t, "upgraded", func() bool { return generation(term.Daemon) == 2 })
	second := servingPID(t, term.Daemon)
	term.key("C-z")
	await(t, "stopped", func() bool { return state(term.first) == "T" && state(second) == "T" })
	await(t, "back at the prompt", func() bool { return term.shows("Stopped") && term.shows("status 148") }) // 128 + SIGTSTP
	term.say("fg; echo status $?")
	await(t, "going on", func() bool { return isGoing(term.first) && isGoing(second) })
	if body, err := get(term.Daemon, "/"); err != nil || body != "2\n" {
		t.Errorf("answered by %q, %v", body, err)
	}
	must(t, signal(term.first, "TERM"))
	term.wantOver("0")
}

func TestTerminalEndsAsTheLastGeneration(t *testing.T) {
	term := onTerminal(t, "watched")
	must(t, signal(term.first, "HUP"))
	await(t, "upgraded", func() bool { return generation(term.Daemon) == 2 })
	second := servingPID(t, term.Daemon)
	await(t, "drained", func() bool {
		return strings.Contains(term.LogText(), "cleanup of generation 1") && parent(t, second) == term.first
	})
	if _, err := get(term.Daemon, "/exit?status=7"); err == nil {
		t.Error("it has answered")
	}
	term.wantOver("7")
	if s := state(second); s != "" {
		t.Errorf("generation 2 is %s", s)
	}
}

// The shell waits for the supervisor, also when a generation serves again.
func TestTerminalOfOneThatServesAgain(t *testing.T) {
	term := onTerminal(t, "watched")
	done := keepBusy(t, term.Daemon)
	// One that is killed before its parent has looked has failed, and its number is free again: so which one serves is chance.
	isReplaced := func() bool { return generation(term.Daemon) > 1 }
	for range 2 {
		must(t, signal(term.first, "HUP"))
		await(t, "upgraded", isReplaced)
		must(t, signal(servingPID(t, term.Daemon), "KILL"))
		await(t, "generation 1 serves again", func() bool { return generation(term.Daemon) == 1 })
		if body, err := get(term.Daemon, "/"); err != nil || body != "1\n" {
			t.Errorf("answered by %q, %v", body, err)
		}
	}
	if s := state(term.first); s == "" || s == "Z" {
		t.Fatalf("the first process has gone (%q): the shell would have its prompt back", s)
	}
	done()
	must(t, signal(term.first, "HUP")) // it is upgraded as ever
	await(t, "upgraded", isReplaced)
	term.key("C-c")
	term.wantOver("0")
}

func TestTerminalClosed(t *testing.T) {
	term := onTerminal(t, "watched")
	must(t, signal(term.first, "HUP"))
	await(t, "upgraded", func() bool { return generation(term.Daemon) == 2 })
	second := servingPID(t, term.Daemon)
	term.run("kill-server")
	for _, pid := range []int{term.first, second} {
		await(t, "gone with its terminal", func() bool { s := state(pid); return s == "" || s == "Z" })
		daemon.ReapProcess(pid)
	}
	if strings.Contains(term.LogText(), "generation=3") {
		t.Error("the closed terminal was taken for a request to upgrade")
	}
}

// A daemon whose input and output are elsewhere, as after nohup, is in nobody's hands: it outlives the terminal, also with another user for the service.
func TestTerminalClosedAfterNohup(t *testing.T) {
	for name, newDaemon := range map[string]func(*testing.T) *daemon.Daemon{
		"":            ofMyself,
		"user nobody": ofNobody,
	} {
		t.Run(name, func(t *testing.T) {
			term := typedAs(t, newDaemon(t), "nohup %s -f -c %s </dev/null >/dev/null 2>&1 &")
			term.run("kill-server")
			await(t, "it has had the terminal's signal", func() bool { return generation(term.Daemon) == 2 })
			second := servingPID(t, term.Daemon)
			must(t, signal(term.first, "TERM"))
			for _, pid := range []int{term.first, second} {
				await(t, "gone", func() bool { s := state(pid); return s == "" || s == "Z" })
				daemon.ReapProcess(pid)
			}
		})
	}
}

// What runs as the service's user has not root's terminal, on which it could type as root. All else is as it is with it.
func TestTerminalIsRootsAlone(t *testing.T) {
	for _, end := range []struct {
		what string
		by   func(*terminal)
	}{
		{"control C", func(term *terminal) { term.key("C-c"); term.wantOver("0") }},
		{"closed", func(term *terminal) { term.run("kill-server") }},
	} {
		t.Run(end.what, func(t *testing.T) {
			require.Root(t)
			d := ofNobody(t)
			term := typed(t, d)
			must(t, signal(term.first, "HUP"))
			await(t, "upgraded", func() bool { return generation(d) == 2 })
			second := servingPID(t, d)
			if has := controlling(t, second); has != "0" {
				t.Errorf("generation 2 has the terminal %s", has)
			}
			for fd := range 3 {
				to, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", second, fd))
				if err != nil || strings.HasPrefix(to, "/dev/pts/") {
					t.Errorf("descriptor %d of generation 2 is %s, %v", fd, to, err)
				}
			}
			if controlling(t, term.first) == "0" {
				t.Error("the supervisor has no terminal: this shows nothing")
			}
			end.by(term)
			for _, pid := range []int{term.first, second} {
				await(t, "gone", func() bool { s := state(pid); return s == "" || s == "Z" })
				daemon.ReapProcess(pid)
			}
			if strings.Contains(term.LogText(), "generation=3") {
				t.Error("the end was taken for a request to upgrade")
			}
		})
	}
}

// ofMyself is a daemon of whoever runs the tests.
func ofMyself(t *testing.T) *daemon.Daemon {
	t.Helper()
	return newDaemon(t, "watched")
}

// ofNobody is a daemon of root's with another user for the service.
func ofNobody(t *testing.T) *daemon.Daemon {
	t.Helper()
	require.Root(t)
	dir := shortdir.Make(t)
	must(t, os.Chmod(dir, 0o755))
	d, err := daemon.New(dir, runnable["watched"](t), "[web]\nmode http\nlisten 127.0.0.1:0\n", "user nobody")
	must(t, err)
	daemontest.GiveAway(t, d)
	return d
}

// A terminal with tostop stops a process in its background that writes. The supervisor writes what the service says, and its own log.
func TestTerminalWithTostop(t *testing.T) {
	term := typedAs(t, ofNobody(t), "stty tostop; %s -f -v -c %s & wait; echo status $?")
	must(t, signal(term.first, "HUP"))
	await(t, "upgraded", func() bool { return generation(term.Daemon) == 2 })
	await(t, "the log on the terminal", func() bool { return term.shows("a generation has ended") })
	if s := state(term.first); s == "T" {
		t.Fatal("the supervisor is stopped")
	}
	must(t, signal(term.first, "TERM"))
	term.wantOver("0")
}

// controlling is the number of a process's controlling terminal, 0 for none.
func controlling(t *testing.T, pid int) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	must(t, err)
	_, rest, _ := strings.Cut(string(text), ") ")
	return strings.Fields(rest)[4]
}

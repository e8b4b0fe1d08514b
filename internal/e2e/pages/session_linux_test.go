package pages

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/freeport"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/shortdir"
)

// patience is how long one command may take. Some of them compile.
const patience = 5 * time.Minute

// session is a reader at a terminal.
type session struct {
	t   *testing.T
	dir string // all files are below it
	env []string
	// typed changes what the page says into what is typed, shown what is shown into what the page says.
	typed, shown *strings.Replacer
}

func newSession(t *testing.T) *session {
	t.Helper()
	s := &session{t: t, dir: shortdir.Make(t), typed: strings.NewReplacer(), shown: strings.NewReplacer()}
	s.env = append(os.Environ(), "TERM=xterm")
	s.write(".cwd", s.dir)
	t.Cleanup(s.killAll)
	return s
}

// replace has the second of each pair typed where the page has the first, and free ports where it has these. home is
// what the page calls the session's directory.
func (s *session) replace(pairs []string, home string, ports ...string) {
	s.t.Helper()
	pairs = append(pairs, home, s.dir)
	for _, port := range ports {
		_, free, err := net.SplitHostPort(freeport.Address(s.t))
		must(s.t, err)
		pairs = append(pairs, port, ":"+free)
	}
	s.typed = strings.NewReplacer(pairs...)
	s.shown = strings.NewReplacer(s.dir, home)
}

// killAll ends what a page that went wrong has left.
func (s *session) killAll() {
	states, _ := filepath.Glob(filepath.Join(s.dir, "*", "*.pid.state"))
	more, _ := filepath.Glob(filepath.Join(s.dir, "*.pid.state"))
	for _, path := range append(states, more...) {
		state, err := process.ReadState(strings.TrimSuffix(path, ".state"))
		if err != nil {
			continue
		}
		if p, err := process.Open(state.PID, state.StartTime); err == nil {
			if !s.t.Failed() {
				s.t.Errorf("%s: the page does not stop its daemon", path)
			}
			_ = p.Signal(os.Kill)
			p.Close()
		}
	}
}

// write makes a file below the session's directory.
func (s *session) write(name, text string) {
	s.t.Helper()
	must(s.t, os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600))
}

// work is the directory in which the reader is.
func (s *session) work() string {
	s.t.Helper()
	cwd, err := os.ReadFile(filepath.Join(s.dir, ".cwd"))
	must(s.t, err)
	return strings.TrimSpace(string(cwd))
}

// do does what a page says: it saves files, types commands, and compares what is printed.
func (s *session) do(b block) {
	s.t.Helper()
	if name := b.file(); name != "" && b.info != "console "+name {
		must(s.t, os.WriteFile(filepath.Join(s.work(), name), []byte(s.typed.Replace(b.text)), 0o600))
		return
	}
	if b.info != "console" {
		return
	}
	for _, c := range b.commands("$ ") {
		s.compare(b.page, c, s.run(s.typed.Replace(c.text)))
		if pidfile, ok := strings.CutPrefix(c.text, "kill -STOP $(cat "); ok {
			s.awaitStandstill(strings.TrimSuffix(pidfile, ")"))
		}
	}
}

// isMoving reports whether a thread is there, and has not stopped.
func isMoving(stat string) bool {
	text, err := os.ReadFile(stat)
	return err == nil && !strings.Contains(string(text), ") T ")
}

// awaitStandstill waits until the process of a PID file does nothing any more: on a busy machine its threads go on for a while.
func (s *session) awaitStandstill(pidfile string) {
	s.t.Helper()
	pid, err := os.ReadFile(filepath.Join(s.work(), pidfile))
	must(s.t, err)
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		threads, err := filepath.Glob("/proc/" + strings.TrimSpace(string(pid)) + "/task/*/stat")
		must(s.t, err)
		if len(threads) > 0 && !slices.ContainsFunc(threads, isMoving) {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%s: its process has not stopped", pidfile)
		}
	}
}

// compare fails the test unless got is what the page says.
func (s *session) compare(page string, c command, got string) {
	s.t.Helper()
	got = s.shown.Replace(got)
	if !matches(c.want, slices.Collect(strings.Lines(got))) {
		s.t.Fatalf("%s:%d: %s\nprints\n%s\nwant\n%s", page, c.line, c.text, got, strings.Join(c.want, "\n"))
	}
}

// matches reports whether the lines are those of a page. There, a line of three dots stands for any number of lines, and
// three dots in a line for any text.
func matches(want, got []string) bool {
	switch {
	case len(want) == 0:
		return len(got) == 0
	case want[0] == "...":
		return matches(want[1:], got) || len(got) > 0 && matches(want, got[1:])
	default:
		return len(got) > 0 && like(want[0], got[0]) && matches(want[1:], got[1:])
	}
}

func like(want, got string) bool {
	parts := strings.Split(masked(want), "...")
	for i, part := range parts {
		parts[i] = regexp.QuoteMeta(part)
	}
	return regexp.MustCompile("^" + strings.Join(parts, ".*") + "$").MatchString(masked(got))
}

// varying is what differs each time: times of day, durations, and numbers of three digits and more, such as PIDs and ports.
var varying = []struct {
	pattern *regexp.Regexp
	by      string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT[\d:.]+Z|\d{4}/\d\d/\d\d \d\d:\d\d:\d\d|\d\d:\d\d:\d\d`), "TIME"},
	{regexp.MustCompile(`(\d+m)?\d+(\.\d+)? ?(µs|ms|s|min)\b`), "DURATION"},
	{regexp.MustCompile(`"seconds":[\d.]+`), "DURATION"},
	{regexp.MustCompile(`\d{3,}`), "NUMBER"},
	{regexp.MustCompile(` {2,}`), "  "}, // columns are as wide as what is in them
}

func masked(line string) string {
	for _, v := range varying {
		line = v.pattern.ReplaceAllString(line, v.by)
	}
	return strings.TrimRight(line, " \n")
}

// run types a command, and returns what the terminal shows in the end.
func (s *session) run(text string) string {
	s.t.Helper()
	master, tty := terminal(s.t)
	cmd := exec.CommandContext(s.t.Context(), "bash", "-c", `cd "$(cat "$1/.cwd")"; eval "$2"; pwd >"$1/.cwd"`, "_", s.dir, text)
	cmd.Env = s.env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	must(s.t, cmd.Start())
	must(s.t, tty.Close())
	must(s.t, master.SetReadDeadline(time.Now().Add(patience)))
	var all []byte
	buf := make([]byte, 4096)
	for {
		n, err := master.Read(buf)
		all = append(all, buf[:n]...)
		if errors.Is(err, unix.EIO) { // nobody has the terminal any more
			break
		}
		if err != nil {
			s.t.Fatalf("%s: %v; so far it shows\n%s", text, err, screen(all))
		}
	}
	must(s.t, cmd.Wait())
	return screen(all)
}

// terminal makes a pseudo-terminal, so wide that nothing is wrapped.
func terminal(t *testing.T) (master, tty *os.File) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	must(t, err)
	master = os.NewFile(uintptr(fd), "terminal")
	t.Cleanup(func() { _ = master.Close() })
	must(t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	must(t, err)
	must(t, unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 50, Col: 1000}))
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	must(t, err)
	return master, tty
}

// attributes are colours and the like.
var attributes = regexp.MustCompile(`\x1b\[[0-9;]*m`)

// screen is what a terminal shows of what was written to it: a line that begins anew replaces what was there.
func screen(written []byte) string {
	text := attributes.ReplaceAllString(strings.ReplaceAll(string(written), "\r\n", "\n"), "")
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = line[strings.LastIndex(line, "\r")+1:]
		lines[i] = strings.ReplaceAll(lines[i], "\x1b[K", "")
	}
	return strings.Join(lines, "\n")
}

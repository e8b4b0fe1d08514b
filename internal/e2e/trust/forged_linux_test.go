package trust

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// secret is what a file of root's says that nobody else may read.
const secret = "only root may read this"

// forgery is the directory of a daemon that is none: a process of the service's user has its files, and one
// of them is not what it should be.
type forgery struct {
	name    string
	pidfile string
	conf    string
	what    string // the file that is false, by the end of its name; "" for all of them
	form    string
}

// refuses reports whether a command must not succeed: it believes the file that is false. A PID file is only for people;
// signals go to a process of the lock's owner whatever stands in the place of its socket; and a file that nobody has locked
// is as good as any to lock.
func (g *forgery) refuses(command string) bool {
	bySignal := command == "-s quit" || command == "-s reopen" || command == "-s stop"
	switch {
	case command == "check", g.what == ".pid":
		return false
	case g.what == ".sock":
		return !bySignal
	case g.what == ".lock" && plainForms[g.form]:
		return false // a daemon may have been started by now
	}
	return true
}

// onlyState are the forms that are tried where much is read only.
var onlyState = map[string]bool{"64 MiB": true, "zero device": true}

// inFull are the forms against which all commands are tried. The others have those that read the most.
var inFull = map[string]bool{"foreign": true, "another link": true, "fifo": true, "zero link": true, "": true}

// plainForms are regular files.
var plainForms = map[string]bool{"garbage": true, "64 MiB": true, "foreign": true, "another's": true}

// forger makes forgeries.
type forger struct {
	victim state    // a process of root's that is no daemon
	other  *service // a daemon of root's
	secret string   // path of a file of root's
}

// forms are what a file can be. Each makes one at a path.
func (f *forger) forms(t *testing.T) map[string]func(path string) error {
	t.Helper()
	mine := f.other.state()
	copyOf := map[string]string{
		".state": f.other.pidfile + ".state", ".lock": f.other.pidfile + ".lock", ".pid": f.other.pidfile,
		".sock": fmt.Sprintf("%s.%d.sock", f.other.pidfile, mine.PID),
	}
	return map[string]func(path string) error{
		"garbage":      func(path string) error { return os.WriteFile(path, []byte("\x1b[2J{\x00"), 0o644) },
		"64 MiB":       func(path string) error { return errors.Join(os.WriteFile(path, nil, 0o644), os.Truncate(path, 64<<20)) },
		"foreign":      func(path string) error { return f.names(path, f.victim) },
		"another's":    func(path string) error { return f.names(path, mine) },
		"secret link":  func(path string) error { return os.Symlink(f.secret, path) },
		"another link": func(path string) error { return os.Symlink(copyOf[filepath.Ext(path)], path) },
		"hard link":    func(path string) error { return os.Link(copyOf[filepath.Ext(path)], path) },
		"fifo":         func(path string) error { return unix.Mkfifo(path, 0o666) },
		"zero link":    func(path string) error { return os.Symlink("/dev/zero", path) },
		"zero device":  func(path string) error { return unix.Mknod(path, unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5))) },
		"directory":    func(path string) error { return os.Mkdir(path, 0o755) },
	}
}

func startOf(t *testing.T, pid int) uint64 {
	t.Helper()
	start, err := process.StartTime(pid)
	must(t, err)
	return start
}

// names writes a file that names a process.
func (f *forger) names(path string, st state) error {
	data := []byte(itoa(st.PID) + "\n")
	if filepath.Ext(path) == ".state" {
		var err error
		data, err = json.Marshal(map[string]any{
			"pid": st.PID, "start_time": st.StartTime, "generation": 1, "since": time.Now(), "binary": "/bin/sleep", "listen": map[string]string{},
			"upgrade_wait": "1s", "stop_wait": "1s",
		})
		if err != nil {
			return err
		}
	}
	return os.WriteFile(path, data, 0o644)
}

// forge makes a forgery. what is the file that is false, by the end of its name.
func (f *forger) forge(t *testing.T, what, form string, do func(path string) error) *forgery {
	t.Helper()
	dir := openDir(t)
	run := ownDir(t, filepath.Join(dir, "run"), nobody)
	g := &forgery{name: what + " " + form, pidfile: filepath.Join(run, "app.pid"), conf: filepath.Join(dir, "app.conf"), what: what, form: form}
	must(t, os.WriteFile(g.conf, []byte("[gozd]\npidfile "+g.pidfile+"\nlog "+run+"/app.log\nuser nobody\n"+onlyWeb), 0o644))
	path := g.pidfile + what
	if what == ".pid" {
		path = g.pidfile
	}
	if what != ".sock" {
		f.make(t, path, do)
	}
	answer := "silence"
	if what == ".sock" {
		answer = "none"
	}
	imitator := begin(t, nobody, nil, "daemon", "-answer", answer, g.pidfile)
	if what == ".sock" {
		f.make(t, fmt.Sprintf("%s.%d.sock", g.pidfile, imitator.cmd.Process.Pid), do)
	}
	return g
}

func (f *forger) make(t *testing.T, path string, do func(path string) error) {
	t.Helper()
	if err := do(path); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	must(t, os.Lchown(path, nobody, nobody))
}

// forgeAll has every file lead to the other daemon.
func (f *forger) forgeAll(t *testing.T) *forgery {
	t.Helper()
	dir := openDir(t)
	run := ownDir(t, filepath.Join(dir, "run"), nobody)
	g := &forgery{name: "all another's", pidfile: filepath.Join(run, "app.pid"), conf: filepath.Join(dir, "app.conf")}
	must(t, os.WriteFile(g.conf, []byte("[gozd]\npidfile "+g.pidfile+"\nuser nobody\n"+onlyWeb), 0o644))
	data, err := os.ReadFile(f.other.pidfile + ".state")
	must(t, err)
	must(t, os.WriteFile(g.pidfile+".state", data, 0o644))
	must(t, os.Chown(g.pidfile+".state", nobody, nobody))
	f.make(t, fmt.Sprintf("%s.%d.sock", g.pidfile, f.other.state().PID), func(path string) error {
		return os.Symlink(fmt.Sprintf("%s.%d.sock", f.other.pidfile, f.other.state().PID), path)
	})
	begin(t, nobody, nil, "daemon", "-answer", "none", g.pidfile) // it has the lock
	return g
}

// commands are all that root does to a daemon by its PID file or its configuration.
func (g *forgery) commands(t *testing.T, program string) map[string]*exec.Cmd {
	t.Helper()
	tool := binaries.Gozdctl(t)
	all := make(map[string]*exec.Cmd)
	verbs, flags := []string{"status", "upgrade", "stop"}, []string{"stop", "reload"}
	if inFull[g.form] {
		all["check"] = exec.Command(tool, "check", g.conf)
		all["start"] = exec.Command(tool, "start", "--timeout", "3s", "--", program, "-c", g.conf)
		verbs, flags = append(verbs, "quit", "reopen", "rollback", "logs"), append(flags, "quit", "reopen")
	}
	for _, verb := range verbs {
		all[verb] = exec.Command(tool, verb, "--timeout", "1s", g.pidfile)
	}
	for _, verb := range flags {
		all["-s "+verb] = exec.Command(program, "-c", g.conf, "-s", verb)
	}
	return all
}

// commandLimit is what only a command that hangs takes: it has a second, or the 5 s in which a daemon may start or end, on a
// machine that is busy. deafLimit is the same for its end by TERM.
const (
	commandLimit = 2 * patience
	deafLimit    = 10 * time.Second
)

// maxOutput is more than any command has to say.
const maxOutput = 1 << 20

// outcome is how a command went.
type outcome struct {
	output string
	status int
	hung   bool // it did not end within commandLimit
	deaf   bool // nor by TERM
}

// run has a command write to a file: a daemon that it has started may have a pipe for long.
func run(cmd *exec.Cmd) (o outcome) {
	out, err := os.CreateTemp("", "gozd-trust-")
	if err != nil {
		return outcome{output: err.Error(), status: -1}
	}
	defer func() { _ = out.Close() }()
	_ = os.Remove(out.Name())
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		return outcome{output: err.Error(), status: -1}
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(commandLimit):
		o.hung = true
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(deafLimit):
			o.deaf = true
			_ = cmd.Process.Kill()
			<-ended
		}
	}
	text, err := io.ReadAll(io.NewSectionReader(out, 0, maxOutput))
	if err != nil {
		return outcome{output: err.Error(), status: -1}
	}
	o.output, o.status = string(text), cmd.ProcessState.ExitCode()
	return o
}

// atOnce is how many commands run side by side: they wait rather than work.
const atOnce = 8

// TestForgedFiles has the service's user put something else in the place of each file by which root finds a daemon.
func TestForgedFiles(t *testing.T) {
	t.Parallel()
	require.Root(t)
	other := newService(t, "pidfile run/app.pid\nsupervise yes\n", onlyWeb)
	other.start(t)
	before := other.state()
	pid, unharmed := victim(t)
	f := &forger{victim: state{PID: pid, StartTime: startOf(t, pid)}, other: other, secret: filepath.Join(openDir(t), "secret")}
	must(t, os.WriteFile(f.secret, []byte(secret), 0o600))

	forgeries := []*forgery{f.forgeAll(t)}
	for _, what := range []string{".state", ".lock", ".pid", ".sock"} {
		for form, do := range f.forms(t) {
			if what == ".state" || !onlyState[form] {
				forgeries = append(forgeries, f.forge(t, what, form, do))
			}
		}
	}
	doAll(t, forgeries, other.binary)
	unharmed()
	if now := other.state(); now.PID != before.PID || now.Generation != before.Generation || other.generation() != 1 {
		t.Errorf("the other daemon is now %+v, and was %+v", now, before)
	}
	if info, err := os.Stat(f.secret); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the secret has mode %v, %v", info.Mode(), err)
	}
	other.wantTERM(t)
}

// doAll has root do all that it does to each of the daemons, and checks how that goes.
func doAll(t *testing.T, forgeries []*forgery, program string) {
	t.Helper()
	var wg sync.WaitGroup
	var mu sync.Mutex // held while something is reported
	slots := make(chan struct{}, atOnce)
	for _, g := range forgeries {
		for name, cmd := range g.commands(t, program) {
			wg.Go(func() {
				slots <- struct{}{}
				o := run(cmd)
				<-slots
				mu.Lock()
				defer mu.Unlock()
				o.check(t, g, name)
			})
		}
	}
	wg.Wait()
}

func (o outcome) check(t *testing.T, g *forgery, command string) {
	t.Helper()
	what := g.name + ": " + command
	switch {
	case o.deaf:
		t.Errorf("%s hangs, and is deaf to TERM", what)
	case o.hung:
		t.Errorf("%s hangs", what)
	case g.refuses(command) && o.status == 0:
		t.Errorf("%s succeeds: %q", what, o.output)
	case g.refuses(command) && o.output == "":
		t.Errorf("%s fails with status %d without a word", what, o.status)
	}
	if strings.Contains(o.output, secret) {
		t.Errorf("%s tells what only root may read: %q", what, o.output)
	}
	wantPlain(t, what, o.output)
}

// TestHostileAnswers has the service's user answer on the control socket what no daemon answers.
func TestHostileAnswers(t *testing.T) {
	t.Parallel()
	require.Root(t)
	s := newService(t, asNobody, onlyWeb) // for its program
	var forgeries []*forgery
	for _, answer := range []string{"garbage", "endless", "escape", "linger"} {
		dir := openDir(t)
		g := &forgery{name: answer, what: ".pid", pidfile: filepath.Join(ownDir(t, filepath.Join(dir, "run"), nobody), "app.pid"), conf: filepath.Join(dir, "app.conf")}
		must(t, os.WriteFile(g.conf, []byte("[gozd]\npidfile "+g.pidfile+"\nuser nobody\n"+onlyWeb), 0o644))
		begin(t, nobody, nil, "daemon", "-answer", answer, g.pidfile)
		forgeries = append(forgeries, g)
	}
	doAll(t, forgeries, s.binary)
	endAll(t, s.dir) // a start may have succeeded
}

// TestTERMWhileWaiting has gozdctl wait for a daemon that says nothing, and the operator lose patience.
func TestTERMWhileWaiting(t *testing.T) {
	t.Parallel()
	require.Root(t)
	pidfile := filepath.Join(ownDir(t, filepath.Join(openDir(t), "run"), nobody), "app.pid")
	begin(t, nobody, nil, "daemon", pidfile)
	for _, verb := range []string{"status", "upgrade", "stop", "quit", "reopen", "rollback"} {
		cmd := exec.Command(binaries.Gozdctl(t), verb, "--timeout", "1h", pidfile)
		must(t, cmd.Start())
		await(t, "waiting", func() bool { return hasSocket(cmd.Process.Pid) })
		began := time.Now()
		must(t, cmd.Process.Signal(syscall.SIGTERM))
		err := cmd.Wait()
		if took := time.Since(began); err == nil || took > termLimit {
			t.Errorf("gozdctl %s ends with %v %v after TERM", verb, err, took)
		}
	}
}

// hasSocket reports whether a process has one open.
func hasSocket(pid int) bool {
	links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, link := range links {
		if to, _ := os.Readlink(link); strings.HasPrefix(to, "socket:") {
			return true
		}
	}
	return false
}

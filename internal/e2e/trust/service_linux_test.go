package trust

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/shortdir"
)

// service is a daemon that root starts in the foreground, in a directory of root's that everybody
// may read. What belongs to its user is below run.
type service struct {
	dir, binary, conf, run, pidfile string

	env   []string
	attr  *syscall.SysProcAttr
	cwd   string        // where it is started, if not in dir
	flags []string      // with which it is started
	front *exec.Cmd     // the process that root has started
	ended chan struct{} // closed at its end
	log   string        // the path of what it has said
}

// asNobody is what most daemons here have in [gozd].
const asNobody = "pidfile run/app.pid\nuser nobody\nsupervise yes\n"

// onlyWeb is the group of most daemons here.
const onlyWeb = "[web]\nmode http\nlisten 127.0.0.1:0\n"

// newService prepares a daemon by the lines of [gozd] and its groups.
func newService(t *testing.T, options, groups string) *service {
	t.Helper()
	require.Root(t)
	dir := openDir(t)
	s := &service{
		dir: dir, binary: filepath.Join(dir, "app"), conf: filepath.Join(dir, "app.conf"),
		run: filepath.Join(dir, "run"), pidfile: filepath.Join(dir, "run/app.pid"), log: filepath.Join(dir, "front.log"),
		flags: []string{"-f", "-v"},
	}
	must(t, daemon.Install(binaries.Turncoat(t), s.binary))
	must(t, os.WriteFile(s.conf, []byte("[gozd]\n"+options+groups), 0o644))
	return s
}

// openDir makes a directory of root's with a short name that everybody may enter.
func openDir(t *testing.T) string {
	t.Helper()
	dir := shortdir.Make(t)
	must(t, os.Chmod(dir, 0o755))
	return dir
}

// ownDir makes a directory of a user's.
func ownDir(t *testing.T, path string, uid int) string {
	t.Helper()
	must(t, os.Mkdir(path, 0o755))
	must(t, os.Chown(path, uid, uid))
	return path
}

// command is the daemon's program, run by root.
func (s *service) command(args ...string) *exec.Cmd {
	cmd := exec.Command(s.binary, append([]string{"-c", s.conf}, args...)...)
	cmd.Dir, cmd.SysProcAttr = cmp.Or(s.cwd, s.dir), s.attr
	cmd.Env = append(os.Environ(), s.env...)
	return cmd
}

// start starts the daemon, and returns when a generation serves.
func (s *service) start(t *testing.T) {
	t.Helper()
	daemon.AdoptOrphans()
	out, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	must(t, err)
	defer func() { _ = out.Close() }()
	s.front, s.ended = s.command(s.flags...), make(chan struct{})
	s.front.Stdout, s.front.Stderr = out, out
	must(t, s.front.Start())
	go func() {
		_ = s.front.Wait() // how it ended is in ProcessState
		close(s.ended)
	}()
	t.Cleanup(func() { s.end(t) })
	await(t, "serving", func() bool { return s.generation() > 0 })
}

// end kills every process that runs the daemon's program, and shows the log of a test that failed.
func (s *service) end(t *testing.T) {
	t.Helper()
	_ = s.front.Process.Signal(syscall.SIGTERM) // one that is killed leaves its notify socket
	select {
	case <-s.ended:
	case <-time.After(termLimit):
	}
	_ = s.front.Process.Kill()
	<-s.ended
	endAll(t, s.dir)
	if t.Failed() {
		log := s.logText()
		t.Logf("log:\n%s", log[max(0, len(log)-1<<14):])
	}
}

// processesIn returns the processes whose program lies in a directory of a test's.
func processesIn(dir string) (pids []int) {
	links, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, link := range links {
		exe, err := os.Readlink(link)
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(link)))
		if err == nil && strings.HasPrefix(exe, dir+"/") && pid > 0 {
			pids = append(pids, pid)
		}
	}
	return pids
}

// killAll kills the processes whose program lies in a directory of a test's, and says how many there were.
func killAll(dir string) int {
	left := processesIn(dir)
	for _, pid := range left {
		_ = syscall.Kill(pid, syscall.SIGKILL)
		daemon.ReapProcess(pid)
	}
	return len(left)
}

// endAll kills them until there are none.
func endAll(t *testing.T, dir string) {
	t.Helper()
	await(t, "gone", func() bool { return killAll(dir) == 0 })
}

// state is what the tests read of the state file.
type state struct {
	PID        int               `json:"pid"`
	StartTime  uint64            `json:"start_time"`
	Generation int               `json:"generation"`
	Listen     map[string]string `json:"listen"`
}

func (s *service) state() (st state) {
	data, err := os.ReadFile(s.pidfile + ".state")
	if err == nil {
		_ = json.Unmarshal(data, &st) // there is none, as without a file
	}
	return st
}

// generation is that which answers; 0 where none does.
func (s *service) generation() int {
	text, err := s.get("/", nil)
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(text)
	return n
}

// get asks the program.
func (s *service) get(path string, values url.Values) (string, error) {
	_, address, _ := strings.Cut(s.state().Listen["web"], " ")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	resp, err := client.Get("http://" + address + path + "?" + values.Encode())
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, body)
	}
	return strings.TrimSpace(string(body)), err
}

// ask has the program do something, which it must be able to do.
func (s *service) ask(t *testing.T, path string, values url.Values) {
	t.Helper()
	_, err := s.get(path, values)
	must(t, err)
}

// upgrade upgrades as root.
func (s *service) upgrade(t *testing.T) {
	t.Helper()
	want := s.generation() + 1
	if output, err := exec.Command(binaries.Gozdctl(t), "upgrade", "--no-wait-drain", s.pidfile).CombinedOutput(); err != nil {
		t.Fatalf("gozdctl upgrade: %v: %s", err, output)
	}
	if now := s.generation(); now != want {
		t.Fatalf("generation %d serves, want %d", now, want)
	}
}

// termLimit is what a process may take to answer TERM.
const termLimit = time.Second

// wantTERM has the service manager end the daemon. The supervisor has answered when it says that it has passed the signal on: how
// long the daemon takes then is for others to test.
func (s *service) wantTERM(t *testing.T) {
	t.Helper()
	const passed = "signal=terminated"
	before := strings.Count(s.logText(), passed)
	began := time.Now()
	must(t, s.front.Process.Signal(syscall.SIGTERM))
	await(t, "passing on TERM", func() bool { return strings.Count(s.logText(), passed) > before })
	if took := time.Since(began); took > termLimit {
		t.Errorf("TERM was answered after %v, want %v at most", took, termLimit)
	}
	select {
	case <-s.ended:
	case <-time.After(patience):
		t.Fatalf("the daemon has not ended %v after TERM", patience)
	}
	if !s.front.ProcessState.Success() && !t.Failed() {
		t.Errorf("the daemon has ended: %v", s.front.ProcessState)
	}
}

func (s *service) logText() string {
	data, _ := os.ReadFile(s.log) // there is one
	return string(data)
}

// attacker is a process of somebody else's.
type attacker struct {
	cmd   *exec.Cmd
	stdin io.Closer
	ready chan string // what it says until it is ready, or has ended
	read  chan struct{}
}

// attack has a user run package hostile's program, of which root has a copy in a directory that
// everybody can read. It returns when the attack has begun, or failed, with what it has said.
func attack(t *testing.T, uid int, files []*os.File, args ...string) (a *attacker, said string) {
	t.Helper()
	program := filepath.Join(openDir(t), "hostile")
	must(t, daemon.Install(binaries.Hostile(t), program))
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Env, cmd.ExtraFiles = "/", []string{"GORACE=atexit_sleep_ms=0"}, files
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	stdin, err := cmd.StdinPipe()
	must(t, err)
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	a = &attacker{cmd: cmd, stdin: stdin, read: make(chan struct{}), ready: make(chan string, 1)}
	go a.listen(stdout)
	t.Cleanup(func() {
		a.end()
		if mark, err := os.ReadFile(program + ".root"); err == nil {
			t.Errorf("root has run the attacker's program: %s", mark)
		}
	})
	select {
	case said = <-a.ready:
	case <-time.After(patience):
		t.Fatalf("%v does not begin", args)
	}
	return a, said
}

func (a *attacker) listen(stdout io.Reader) {
	defer close(a.read)
	var said strings.Builder
	buf := make([]byte, 4096)
	for {
		n, err := stdout.Read(buf)
		said.Write(buf[:n])
		if err != nil || strings.Contains(said.String(), "ready\n") {
			a.ready <- said.String()
			_, _ = io.Copy(io.Discard, stdout)
			return
		}
	}
}

// end ends the attack.
func (a *attacker) end() {
	_ = a.stdin.Close()
	_ = a.cmd.Process.Kill()
	<-a.read
	_ = a.cmd.Wait() // a second time, mostly
}

// begin is attack for one that must succeed in beginning.
func begin(t *testing.T, uid int, files []*os.File, args ...string) *attacker {
	t.Helper()
	a, said := attack(t, uid, files, args...)
	if !strings.HasSuffix(said, "ready\n") {
		t.Fatalf("%v: %s", args, said)
	}
	return a
}

// victim is a process of root's that has nothing to do with any daemon, and that any signal ends.
func victim(t *testing.T) (pid int, check func()) {
	t.Helper()
	cmd := exec.Command("sleep", "3600")
	must(t, cmd.Start())
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
	return cmd.Process.Pid, func() {
		t.Helper()
		select {
		case <-ended:
			t.Errorf("a foreign process was signalled: %v", cmd.ProcessState)
		default:
		}
	}
}

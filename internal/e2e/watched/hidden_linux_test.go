package watched

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// hides says what a supervisor and its generations may see of each other.
type hides struct {
	name    string
	proc    string      // how /proc is mounted
	as      []string    // setpriv's options
	options string      // in [gozd]
	mode    os.FileMode // of the binary
	root    bool        // the files are root's
}

var (
	asNobody        = []string{"--reuid=65534", "--regid=65534", "--clear-groups"}
	asRootUntracing = []string{"--bounding-set=-sys_ptrace"}
)

// hidden is a daemon as PID 1 whose /proc hides processes.
type hidden struct {
	t      *testing.T
	dir    string
	cmd    *exec.Cmd // unshare
	output *bytes.Buffer
}

func startHidden(t *testing.T, h hides) *hidden {
	t.Helper()
	if os.Getuid() != 0 {
		require.Missing(t, "a PID namespace needs root")
	}
	unshare := require.Tool(t, "unshare", "package util-linux")
	require.Tool(t, "setpriv", "package util-linux")
	d := &hidden{t: t, dir: t.TempDir(), output: new(bytes.Buffer)}
	must(t, os.Chmod(filepath.Dir(d.dir), 0o755)) // TempDir's parent is closed to other users
	must(t, os.Chmod(d.dir, 0o755))
	d.install(h.mode)
	run := filepath.Join(d.dir, "run")
	must(t, os.Mkdir(run, 0o755))
	if !h.root {
		must(t, os.Chown(run, 65534, 65534))
	}
	conf := filepath.Join(d.dir, "app.conf")
	must(t, os.WriteFile(conf, fmt.Appendf(nil, "[gozd]\npidfile %s\nsupervise yes\nlog %s\n%s\n[web]\nmode http\nlisten 127.0.0.1:0\n", d.pidfile(), filepath.Join(run, "log"), h.options), 0o644))
	d.cmd = exec.Command(unshare, "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", `mount -t proc -o "$0" proc /proc && exec setpriv "$@"`, h.proc)
	d.cmd.Args = append(append(d.cmd.Args, h.as...), filepath.Join(d.dir, "app"), "-f", "-v", "-c", conf)
	d.cmd.Dir, d.cmd.Stdout, d.cmd.Stderr = "/", d.output, d.output
	d.cmd.WaitDelay = patience
	must(t, d.cmd.Start())
	t.Cleanup(func() {
		_ = d.cmd.Process.Kill() // and, by --kill-child, all that is left
		_ = d.cmd.Wait()
		if t.Failed() {
			t.Logf("output:\n%s\nlog:\n%s", d.output, d.log())
		}
	})
	return d
}

// install puts the binary there, as a release does.
func (d *hidden) install(mode os.FileMode) {
	d.t.Helper()
	program, err := os.ReadFile(binaries.Hello(d.t))
	must(d.t, err)
	path := filepath.Join(d.dir, "app")
	must(d.t, os.WriteFile(path+".new", program, 0o755))
	must(d.t, os.Chmod(path+".new", mode))
	must(d.t, os.Rename(path+".new", path))
}

func (d *hidden) pidfile() string { return filepath.Join(d.dir, "run", "app.pid") }

func (d *hidden) log() string {
	text, _ := os.ReadFile(filepath.Join(d.dir, "run", "log"))
	return string(text)
}

func (d *hidden) generation() int {
	s, err := process.ReadState(d.pidfile())
	if err != nil {
		return 0
	}
	return s.Generation
}

// signal signals the supervisor.
func (d *hidden) signal(sig syscall.Signal) {
	d.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", d.cmd.Process.Pid))
	must(d.t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	must(d.t, err)
	must(d.t, syscall.Kill(pid, sig))
}

// ended waits for the end of the supervisor, which may have to be forced.
func (d *hidden) ended() error {
	timer := time.AfterFunc(patience, func() { _ = d.cmd.Process.Kill() })
	defer timer.Stop()
	return d.cmd.Wait()
}

// Where the supervisor could not watch what it starts, the start says so, and nothing is served.
func TestStartWhereGenerationsAreHidden(t *testing.T) {
	const user = "user 65534\ngroup 65534"
	for _, h := range []hides{
		{"from root that may not trace", "hidepid=ptraceable", asRootUntracing, user, 0o755, false},
		{"from root that is not in the group", "hidepid=invisible,gid=999", asRootUntracing, user, 0o755, false},
		{"by their binary", "hidepid=invisible", asNobody, "", 0o711, false},
	} {
		t.Run(h.name, func(t *testing.T) {
			d := startHidden(t, h)
			err := d.ended()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 1 {
				t.Errorf("the supervisor ended with %v, want status 1", err)
			}
			said := d.output.String() + d.log()
			if !strings.Contains(said, "the supervisor does not take this process for a generation: /proc hides process ") {
				t.Errorf("it does not say why")
			}
			if d.generation() != 0 || strings.Contains(said, "ready") {
				t.Errorf("generation %d has served", d.generation())
			}
		})
	}
}

// An upgrade to a process that the supervisor could not watch fails, and the generation before serves on, until it is asked to end.
func TestUpgradeToWhatIsHidden(t *testing.T) {
	d := startHidden(t, hides{"", "hidepid=invisible", asNobody, "", 0o755, false})
	await(t, "serving", func() bool { return d.generation() == 1 })
	d.signal(syscall.SIGHUP)
	await(t, "upgraded", func() bool { return d.generation() == 2 })
	d.install(0o711)
	d.signal(syscall.SIGHUP)
	await(t, "refused", func() bool { return strings.Contains(d.log(), "/proc hides process ") })
	if n := d.generation(); n != 2 {
		t.Errorf("generation %d serves, want 2", n)
	}
	d.signal(syscall.SIGTERM)
	if err := d.ended(); err != nil || d.generation() != 0 {
		t.Errorf("asked to end, it ended with %v, and generation %d serves", err, d.generation())
	}
}

package sysd

import (
	"bytes"
	"context"
	_ "embed"
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

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

//go:embed machine.sh
var script []byte

const (
	bootWait = 60 * time.Second // half a second on an idle machine
	offWait  = 30 * time.Second
	execWait = 90 * time.Second
)

// systemd is where its program is.
const systemd = "/lib/systemd/systemd"

// Version returns that of the systemd in a root file system, such as 252.
func Version(tb testing.TB, root string) int {
	tb.Helper()
	needs(tb)
	installed(tb, root)
	out, err := exec.Command("chroot", root, systemd, "--version").Output()
	must(tb, err)
	var version int
	_, err = fmt.Sscanf(string(out), "systemd %d", &version)
	must(tb, err)
	return version
}

// Machine is a systemd that runs.
type Machine struct {
	cgroup string
	init   int // the PID of its PID 1, outside
}

// Boot boots a machine on the file system root, in which the directories binds are the
// same as outside. The machine is switched off at the end of the test.
func Boot(tb testing.TB, root string, binds ...string) *Machine {
	tb.Helper()
	mount := needs(tb)
	installed(tb, root)
	dir := tb.TempDir()
	path := filepath.Join(dir, "machine.sh")
	must(tb, os.WriteFile(path, script, 0o755))
	scratch := filepath.Join(dir, "scratch")
	must(tb, os.Mkdir(scratch, 0o755))
	cgroup, err := os.MkdirTemp(mount, "gozd-test-") //nolint:usetesting // it is a cgroup
	must(tb, err)
	must(tb, os.Chmod(cgroup, 0o755)) // a user's own systemd has to get through it
	console, err := os.Create(filepath.Join(dir, "console"))
	must(tb, err)
	defer func() { _ = console.Close() }()
	// By bash, which only reads it: what has just been written may be open for writing in a process that another test is forking.
	cmd := exec.Command("bash", append([]string{path, "outer", cgroup, scratch, root}, binds...)...)
	cmd.Stdout, cmd.Stderr = console, console
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	must(tb, cmd.Start())
	m := &Machine{cgroup: cgroup}
	tb.Cleanup(func() { m.off(tb, cmd) })
	if err := m.awaitBoot(cmd.Process.Pid); err != nil {
		said, _ := os.ReadFile(console.Name())
		tb.Fatalf("boot: %v\n%s", err, said)
	}
	return m
}

var must = require.NoError

// installed skips the test where a root file system has no systemd.
func installed(tb testing.TB, root string) {
	tb.Helper()
	if _, err := os.Stat(filepath.Join(root, systemd)); err != nil {
		require.Missing(tb, "there is no systemd in "+root+" (package systemd)")
	}
}

// needs skips the test where it cannot be, and returns a mount of cgroup2.
func needs(tb testing.TB) (cgroup2 string) {
	tb.Helper()
	require.Root(tb)
	for _, tool := range []string{"bash", "unshare", "nsenter", "setpriv", "pivot_root"} {
		require.Tool(tb, tool, "package util-linux")
	}
	for _, dir := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		var st syscall.Statfs_t
		const magic = 0x63677270 // CGROUP2_SUPER_MAGIC
		if syscall.Statfs(dir, &st) == nil && st.Type == magic {
			return dir
		}
	}
	require.Missing(tb, "booting systemd needs cgroup2")
	return ""
}

// awaitBoot waits until all units have started.
func (m *Machine) awaitBoot(outer int) error {
	ctx, cancel := context.WithTimeout(context.Background(), bootWait)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if m.init == 0 {
			m.init = child(outer)
		}
		if m.init != 0 {
			if _, err := m.exec(ctx, "test", "-S", "/run/systemd/private"); err == nil {
				break
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.New("systemd does not answer")
		}
	}
	out, err := m.exec(ctx, "systemctl", "is-system-running", "--wait")
	if err != nil {
		failed, _ := m.exec(ctx, "systemctl", "--failed", "--no-legend")
		return fmt.Errorf("%w: %s%s", err, out, failed)
	}
	return nil
}

// child returns the only child of a process, 0 if it has none yet.
func child(pid int) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	return n
}

// Exec runs a command in the machine and returns what it prints on both outputs.
func (m *Machine) Exec(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), execWait)
	defer cancel()
	return m.exec(ctx, args...)
}

// exec joins a cgroup of the machine first: systemd's tools look at /proc/self/cgroup.
func (m *Machine) exec(ctx context.Context, args ...string) (string, error) {
	const join = `mkdir -p "$1/exec" && echo $$ >"$1/exec/cgroup.procs" && p=$2 && shift 2 &&
exec nsenter -t "$p" -m -p -u -i -C -r -w env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb SYSTEMD_PAGER= SYSTEMD_COLORS=0 "$@"`
	cmd := exec.CommandContext(ctx, "bash", append([]string{"-c", join, "_", m.cgroup, strconv.Itoa(m.init)}, args...)...)
	cmd.WaitDelay = execWait
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(out.String()))
	}
	return out.String(), nil
}

// off switches the machine off: all of its processes end with its PID 1.
func (m *Machine) off(tb testing.TB, cmd *exec.Cmd) {
	tb.Helper()
	if m.init != 0 {
		_ = syscall.Kill(m.init, syscall.SIGKILL)
	} else {
		_ = cmd.Process.Kill()
	}
	_ = cmd.Wait() // its status is that of a killed process
	deadline := time.Now().Add(offWait)
	for {
		err := removeTree(m.cgroup)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			tb.Errorf("the machine's cgroup stays: %v", err)
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// removeTree removes a directory of a cgroup file system, whose files cannot be removed.
func removeTree(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if e.IsDir() {
			err = errors.Join(err, removeTree(filepath.Join(dir, e.Name())))
		}
	}
	return errors.Join(err, os.Remove(dir))
}

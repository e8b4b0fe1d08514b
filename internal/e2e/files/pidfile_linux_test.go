package files

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loadtest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// promptly bounds what an operator waits for who asks for an upgrade that fails. It is
// well below what the daemon gives an upgrade, a minute.
const promptly = 30 * time.Second

// asNobody is the daemon's command, run by a user who may do little.
func asNobody(t *testing.T, d *daemon.Daemon, args ...string) *exec.Cmd {
	t.Helper()
	require.Root(t)
	nobody, err := process.LookupIdentity("nobody", "")
	if err != nil {
		t.Fatal(err)
	}
	cmd := d.Command(t.Context(), args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential: &syscall.Credential{Uid: uint32(nobody.UID), Gid: uint32(nobody.GID)},
	}
	return cmd
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// wantFailure runs a command that says why it fails, with status 1.
func wantFailure(t *testing.T, cmd *exec.Cmd, want string) {
	t.Helper()
	began := time.Now()
	output, _ := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 1 || !regexp.MustCompile(`(?m)^.*`+want+`$`).Match(output) {
		t.Errorf("%v: status %d, output %q, want 1 and %s", cmd.Args, cmd.ProcessState.ExitCode(), output, want)
	}
	if took := time.Since(began); took > promptly {
		t.Errorf("%v: it took %v to say so", cmd.Args, took.Round(time.Second))
	}
}

func gozdctl(t *testing.T, d *daemon.Daemon, command string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return exec.CommandContext(ctx, binaries.Gozdctl(t), command, d.PIDFile)
}

// TestPIDDirectoryNotWritable starts daemons in a directory that they may not write to,
// and takes the right to do so away from another.
func TestPIDDirectoryNotWritable(t *testing.T) {
	require.Root(t)
	d := daemontest.Prepare(t, binaries.Mixed(t), daemontest.OnlyWeb)
	chmod(t, d.Dir, 0o755)
	wantFailure(t, asNobody(t, d), `lock file: open .*/app\.pid\.lock: permission denied`)
	daemontest.WantNothingLeft(t, d)
	if err := d.Configure(daemontest.OnlyWeb, "user nobody"); err != nil { // root takes the lock, and cannot come back
		t.Fatal(err)
	}
	wantFailure(t, d.Command(t.Context()), `PID file: open .*/\.app\.pid\.new\.\w+: permission denied`)

	if err := d.Configure(daemontest.OnlyWeb); err != nil {
		t.Fatal(err)
	}
	daemontest.GiveAway(t, d)
	daemontest.Begin(t, d, asNobody(t, d), false)
	s, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	l := loadtest.StartLight(t, d)
	awaitControl(t, d)
	chmod(t, d.Dir, 0o555)
	wantFailure(t, gozdctl(t, d, "upgrade"), fmt.Sprintf(`upgrade failed at ready: pid \d+: PID file: open .*/\.app\.pid\.new\.\w+: permission denied; pid %d serves on`, s.PID))
	wantServesOn(t, d, s, 1)
	chmod(t, d.Dir, 0o755)
	daemontest.Upgrade(t, d)
	loadtest.AwaitServed(t, l.Recorder(), 2)
	loadtest.End(t, l)

	awaitControl(t, d)
	chmod(t, d.Dir, 0o555)
	if output, err := asNobody(t, d, "-s", "stop").CombinedOutput(); err != nil { // without the right to remove its files
		t.Errorf("-s stop: %v: %s", err, output)
	}
	if err := daemontest.WaitAlive(t, d, 0, 30*time.Second); err != nil {
		t.Error(err)
	}
	chmod(t, d.Dir, 0o755)
	daemontest.Begin(t, d, asNobody(t, d), false)
}

// awaitControl returns when the generation that serves has its control socket, which nobody waits for otherwise.
func awaitControl(t *testing.T, d *daemon.Daemon) {
	t.Helper()
	if _, err := d.Status(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestFullDisk upgrades and starts daemons that have no room for their files.
func TestFullDisk(t *testing.T) {
	d := daemontest.PrepareBare(t, daemontest.OnlyWeb, []string{"pidfile run/app.pid", "log app.log"})
	run := filepath.Join(d.Dir, "run")
	d.PIDFile = filepath.Join(run, "app.pid")
	defer mountTiny(t, run)()
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() { // before the disk is taken away
		if err := d.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	s, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	l := loadtest.StartLight(t, d)
	free := fill(t, run)
	for n := range 3 {
		wantFailure(t, gozdctl(t, d, "upgrade"), fmt.Sprintf(`upgrade failed at ready: pid \d+: PID file: write .*: no space left on device; pid %d serves on`, s.PID))
		wantServesOn(t, d, s, n+1)
	}
	free()
	daemontest.Upgrade(t, d)
	loadtest.AwaitServed(t, l.Recorder(), 2)
	loadtest.End(t, l)

	if err := d.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	free = fill(t, run)
	wantFailure(t, d.Command(t.Context()), `PID file: write .*: no space left on device`)
	free()
	if left, err := os.ReadDir(run); err != nil || len(left) > 0 {
		t.Errorf("%v, %v is left", left, err)
	}
}

// mountTiny mounts a file system of some pages, until the function that it returns is
// called. TestPIDDirectoryNotWritable goes the same ways where that is not allowed, as
// in most containers.
func mountTiny(t *testing.T, dir string) (unmount func()) {
	t.Helper()
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("mount: %v; TestPIDDirectoryNotWritable has writes fail too", err)
	}
	return func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	}
}

// fill leaves no room on a disk until free is called.
func fill(t *testing.T, dir string) (free func()) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	page := []byte(strings.Repeat("x", 4096))
	for err == nil {
		_, err = f.Write(page)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	return func() { _ = os.Remove(f.Name()) }
}

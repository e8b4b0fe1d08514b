package trust

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// TestRuntimeDirectoryOfOthers has a program whose name is that of a directory in /run which is somebody else's: it is not
// given to the program's user.
func TestRuntimeDirectoryOfOthers(t *testing.T) {
	t.Parallel()
	require.Root(t)
	for name, fill := range map[string]func(dir string) error{
		"a file of root's":       func(dir string) error { return os.WriteFile(filepath.Join(dir, "theirs"), nil, 0o644) },
		"a directory of root's":  func(dir string) error { return os.Mkdir(filepath.Join(dir, "theirs"), 0o755) },
		"a link":                 func(dir string) error { return os.Symlink("/etc/passwd", filepath.Join(dir, "theirs.pid")) },
		"another user's":         func(dir string) error { return os.Chown(dir, stranger, stranger) },
		"open to all, as a lock": func(dir string) error { return os.Chmod(dir, 0o1777) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run, err := os.MkdirTemp("/run", "gozd-trust-") //nolint:usetesting // it is about /run
			must(t, err)
			t.Cleanup(func() { _ = os.RemoveAll(run) })
			must(t, os.Chmod(run, 0o755))
			must(t, fill(run))
			c := &canary{dir: run}
			c.before = c.snapshot(t)
			wantNotGiven(t, c, filepath.Base(run))
		})
	}
}

// wantNotGiven starts a program of that name, and looks whose the directory is then.
func wantNotGiven(t *testing.T, c *canary, name string) {
	t.Helper()
	dir := openDir(t)
	program, conf := filepath.Join(dir, name), filepath.Join(dir, "app.conf")
	must(t, daemon.Install(binaries.Turncoat(t), program))
	must(t, os.WriteFile(conf, []byte("[gozd]\nuser nobody\nsupervise no\n"+onlyWeb), 0o644))
	t.Cleanup(func() { endAll(t, dir) })
	daemon.AdoptOrphans()
	o := run(exec.Command(program, "-c", conf))
	info, err := os.Lstat(c.dir)
	must(t, err)
	if st := info.Sys().(*syscall.Stat_t); int(st.Uid) == nobody {
		t.Errorf("%s has been given to the daemon's user; the start said %d %q", c.dir, o.status, o.output)
	}
	if o.status == 0 {
		t.Errorf("the daemon runs in a directory of others: %q", o.output)
	} else {
		c.wantUnchanged(t)
	}
}

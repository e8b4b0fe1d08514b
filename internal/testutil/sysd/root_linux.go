package sysd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// Host is the root of this machine's own systemd.
const Host = "/"

// buildWait bounds the making of a file system, which is half a minute with a mirror nearby.
const buildWait = 5 * time.Minute

// packages are what a machine needs besides Debian's essential ones.
const packages = "systemd,dbus,procps"

// Root returns a root file system of a Debian suite ("trixie" has systemd 257). It is made once, from the
// mirror of this machine's, and kept in the temporary directory.
func Root(tb testing.TB, suite string) string {
	tb.Helper()
	needs(tb)
	base := filepath.Join(os.TempDir(), "gozd-systemd")
	must(tb, ours(base))
	defer lock(tb, filepath.Join(base, suite+".lock"))()
	root := filepath.Join(base, suite)
	if _, err := os.Stat(filepath.Join(root, "usr/lib/systemd/systemd")); err == nil {
		return root
	}
	require.Tool(tb, "mmdebstrap", "package mmdebstrap")
	halves, err := filepath.Glob(root + ".new.*") // of tests that were killed
	must(tb, err)
	for _, half := range halves {
		must(tb, os.RemoveAll(half))
	}
	must(tb, build(suite, root))
	return root
}

// ours makes a directory in the temporary one, where anybody may have made it first: root would boot what lies there.
func ours(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || !info.IsDir() || int(st.Uid) != os.Geteuid() || info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s is not a directory of this user's alone: %v", dir, info.Mode())
	}
	return nil
}

// lock has one process at a time make a file system.
func lock(tb testing.TB, path string) (unlock func()) {
	tb.Helper()
	f, err := os.Create(path)
	must(tb, err)
	must(tb, syscall.Flock(int(f.Fd()), syscall.LOCK_EX))
	return func() { _ = f.Close() }
}

// build makes the file system beside its place first: half of one must not be taken for it.
func build(suite, root string) error {
	ctx, cancel := context.WithTimeout(context.Background(), buildWait)
	defer cancel()
	tmp, err := os.MkdirTemp(filepath.Dir(root), suite+".new.")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	cmd := exec.CommandContext(ctx, "mmdebstrap", "-q", "--variant=essential", "--include="+packages,
		"--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*",
		"--dpkgopt=path-exclude=/usr/share/locale/*", suite, tmp)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make a root file system of %s: %w\n%s", suite, err, out)
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	return os.Rename(tmp, root)
}

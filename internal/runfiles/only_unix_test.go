//go:build unix

package runfiles_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/runfiles"
)

// takeOnly takes the name x of some PID files.
func takeOnly(t *testing.T, pidfiles ...string) *runfiles.Only {
	t.Helper()
	o, err := runfiles.TakeOnly(pidfiles, "x")
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func wantTaken(t *testing.T, pidfiles ...string) {
	t.Helper()
	if _, err := runfiles.TakeOnly(pidfiles, "x"); !errors.Is(err, runfiles.ErrTaken) {
		t.Errorf("TakeOnly(%v) = %v, want ErrTaken", pidfiles, err)
	}
}

func release(t *testing.T, o *runfiles.Only) {
	t.Helper()
	if err := o.Release(); err != nil {
		t.Error(err)
	}
}

func TestOnly(t *testing.T) {
	dir := t.TempDir()
	pidfile := filepath.Join(dir, "app.pid")
	o := takeOnly(t, pidfile)
	wantTaken(t, pidfile)
	other, err := runfiles.TakeOnly([]string{pidfile}, "y")
	if err != nil {
		t.Fatal(err)
	}
	release(t, other)
	release(t, o)
	release(t, takeOnly(t, pidfile))
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v, %v are left", left, err)
	}
}

// TestOnlyOfSeveralPIDFiles takes all or none.
func TestOnlyOfSeveralPIDFiles(t *testing.T) {
	dir := t.TempDir()
	old, now := filepath.Join(dir, "old.pid"), filepath.Join(dir, "now.pid")
	first := takeOnly(t, old)
	wantTaken(t, now, old)
	second := takeOnly(t, now) // which was let go of
	release(t, first)
	wantTaken(t, old, now)
	release(t, second)
	release(t, takeOnly(t, old, now))
}

// TestOnlyByAnotherPath has a PID file that has two paths.
func TestOnlyByAnotherPath(t *testing.T) {
	dir, link := t.TempDir(), filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	o := takeOnly(t, filepath.Join(link, "app.pid"), filepath.Join(dir, "app.pid"))
	wantTaken(t, filepath.Join(dir, "app.pid"))
	release(t, o)
}

// TestOnlyReleasesItsOwnFile and not another that has been put there meanwhile.
func TestOnlyReleasesItsOwnFile(t *testing.T) {
	pidfile := filepath.Join(t.TempDir(), "app.pid")
	o := takeOnly(t, pidfile)
	if err := os.Remove(runfiles.OnlyPath(pidfile, "x")); err != nil {
		t.Fatal(err)
	}
	second := takeOnly(t, pidfile)
	release(t, o)
	wantTaken(t, pidfile)
	release(t, second)
}

func TestOnlyWithoutADirectory(t *testing.T) {
	_, err := runfiles.TakeOnly([]string{filepath.Join(t.TempDir(), "missing", "app.pid")}, "x")
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("TakeOnly = %v, want one that wraps os.ErrNotExist", err)
	}
}

package process_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

func TestMakeRuntimeDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "app")
	for range 2 { // the second time it is there
		if err := process.MakeRuntimeDir(filepath.Join(dir, "app.pid")); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := fs.FileMode(0o700)
	if os.Geteuid() == 0 {
		want = 0o755
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&^want != 0 {
		t.Errorf("mode %v, want at most %v", info.Mode(), want)
	}
}

func TestMakeRuntimeDirMakesOneOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "misspelt", "app")
	path := filepath.Join(dir, "app.pid")
	if err := process.MakeRuntimeDir(path); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("MakeRuntimeDir = %v, want fs.ErrNotExist and %s", err, path)
	}
	if _, err := os.Stat(filepath.Dir(dir)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its parent: %v, want fs.ErrNotExist", err)
	}
}

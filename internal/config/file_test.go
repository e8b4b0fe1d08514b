package config_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
)

// "-s stop -c /path/app.conf" has to find the PID file from any directory.
func TestRelativePathsDoNotDependOnTheWorkingDirectory(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir()) // what Getwd says after Chdir
	if err != nil {
		t.Fatal(err)
	}
	file := writeFile(t, dir, "app.conf", formats["app.conf"])
	t.Chdir(dir)
	near, err := config.Load("app.conf", noEnviron)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(os.TempDir())
	far, err := config.Load(file, noEnviron)
	if err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(near.Source, far.Source) {
		t.Errorf("Source is %v and %v, want the file", near.Source, far.Source)
	}
	near.Source, far.Source = nil, nil
	if !reflect.DeepEqual(near, far) {
		t.Errorf("from its directory: %+v\nfrom elsewhere:     %+v", near, far)
	}
	if want := filepath.Join(dir, "run/app.pid"); near.Daemon.PIDFile != want {
		t.Errorf("PIDFile = %q, want %q", near.Daemon.PIDFile, want)
	}
}

func writeFile(t *testing.T, dir, name, data string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestLoadMissingFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "app.conf")
	c, err := config.Load(file, noEnviron)
	if c != nil || !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("Load = %v, %v, want an error that is fs.ErrNotExist", c, err)
	}
	if want := "configuration: open " + file + ": no such file or directory"; err.Error() != want {
		t.Errorf("Load = %v\nwant %s", err, want)
	}
}

func TestLoadDirectory(t *testing.T) {
	dir := t.TempDir()
	_, err := config.Load(dir, noEnviron)
	if want := "configuration: open " + dir + ": not a regular file, but a directory"; err == nil || err.Error() != want {
		t.Errorf("Load = %v\nwant %s", err, want)
	}
}

func TestFileSizeIsBounded(t *testing.T) {
	const data = "[web]\nmode http\nlisten 80\n"
	full := data + strings.Repeat("#", config.MaxSize-len(data))
	file := writeFile(t, t.TempDir(), "app.conf", full)
	if _, err := config.Load(file, noEnviron); err != nil {
		t.Errorf("file of %d bytes: %v", len(full), err)
	}
	writeFile(t, filepath.Dir(file), "app.conf", full+"#")
	_, err := config.Load(file, noEnviron)
	if want := file + ": file is larger than 131072 bytes"; err == nil || err.Error() != want {
		t.Errorf("Load = %v\nwant %s", err, want)
	}
}

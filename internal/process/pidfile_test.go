package process_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

func TestWritePID(t *testing.T) {
	path := pidfileIn(t)
	for _, pid := range []int{1, 4194304, 7} {
		if err := process.WritePID(path, pid); err != nil {
			t.Fatal(err)
		}
		if got, err := process.ReadPID(path); err != nil || got != pid {
			t.Errorf("ReadPID = %d, %v, want %d", got, err, pid)
		}
	}
	if data, _ := os.ReadFile(path); string(data) != "7\n" {
		t.Errorf("the file holds %q, want %q", data, "7\n")
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode() != 0o644 {
		t.Errorf("mode %v, want -rw-r--r--", info.Mode())
	}
	if got := names(t, path); !slices.Equal(got, []string{"app.pid"}) {
		t.Errorf("the directory has %v, want only the PID file", got)
	}
}

// A reader sees one PID or the other, never an empty or a missing file.
func TestWritePIDIsAtomic(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a file that is being read cannot be replaced on Windows")
	}
	path := pidfileIn(t)
	const short, long = 1, 4194304
	if err := process.WritePID(path, short); err != nil {
		t.Fatal(err)
	}
	written := make(chan error, 1)
	go func() {
		var errs []error
		for i := range 200 {
			errs = append(errs, process.WritePID(path, []int{long, short}[i%2]))
		}
		written <- errors.Join(errs...)
	}()
	for len(written) == 0 {
		if pid, err := process.ReadPID(path); err != nil || pid != short && pid != long {
			t.Fatalf("ReadPID = %d, %v, want %d or %d", pid, err, short, long)
		}
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
}

func TestWritePIDFails(t *testing.T) {
	dir := t.TempDir()
	inTheWay := filepath.Join(dir, "app.pid")
	if err := os.MkdirAll(filepath.Join(inTheWay, "full"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{inTheWay, filepath.Join(dir, "missing", "app.pid")} {
		err := process.WritePID(path, 1)
		if err == nil || !strings.HasPrefix(err.Error(), "PID file: ") || !strings.Contains(err.Error(), filepath.Dir(path)) {
			t.Errorf("WritePID(%s) = %v, want an error that names it", path, err)
		}
	}
	if got := names(t, inTheWay); !slices.Equal(got, []string{"app.pid"}) {
		t.Errorf("failures left %v", got)
	}
}

func TestReadPID(t *testing.T) {
	tests := []struct {
		content string
		pid     int
		says    string
	}{
		{"12\n", 12, ""},
		{"12", 12, ""},
		{" 12 \r\n\n", 12, ""},
		{"", 0, `"" is no process ID`},
		{"\n", 0, `"" is no process ID`},
		{"0\n", 0, `"0" is no process ID`},
		{"-12\n", 0, `"-12" is no process ID`},
		{"12 13\n", 0, `"12 13" is no process ID`},
		{"99999999999999999999\n", 0, `"99999999999999999999" is no process ID`},
		{"#!/bin/sh\nexec rm -rf /tmp/x and much more of that", 0, `"#!/bin/sh\nexec rm -rf /tmp/x and much mo..." is no process ID`},
		{"\x00\xff", 0, `"\x00\xff" is no process ID`},
	}
	for _, test := range tests {
		path := pidfileIn(t)
		if err := os.WriteFile(path, []byte(test.content), 0o600); err != nil {
			t.Fatal(err)
		}
		pid, err := process.ReadPID(path)
		if pid != test.pid || (err != nil) != (test.says != "") {
			t.Errorf("ReadPID of %q = %d, %v, want %d, %q", test.content, pid, err, test.pid, test.says)
		}
		if err != nil && (!strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), path)) {
			t.Errorf("ReadPID of %q: %v, want the path and %q", test.content, err, test.says)
		}
	}
	if _, err := process.ReadPID(pidfileIn(t)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ReadPID without a file: %v, want fs.ErrNotExist", err)
	}
}

func TestRemoveFiles(t *testing.T) {
	path := pidfileIn(t)
	acquire(t, path)
	serve(t, path)
	other := filepath.Join(filepath.Dir(path), "app.pid.old")
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time there is nothing left, which is no error
		if err := process.RemoveFiles(path); err != nil {
			t.Error(err)
		}
	}
	if got := names(t, path); !slices.Equal(got, []string{"app.pid.old"}) {
		t.Errorf("RemoveFiles left %v", got)
	}
}

// Others may make any number of such files where they can write: a daemon that ends has no time for all of them.
func TestRemoveFilesOfOthers(t *testing.T) {
	path := pidfileIn(t)
	serve(t, path)
	const all = 200
	for n := range all {
		if err := os.WriteFile(filepath.Join(filepath.Dir(path), fmt.Sprintf(".app.pid.new.%d", n)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := process.RemoveFiles(path); err != nil {
		t.Error(err)
	}
	if left := names(t, path); len(left) != all-64 || slices.Contains(left, "app.pid") {
		t.Errorf("RemoveFiles left %d files of %d: %.3q", len(left), all, left)
	}
}

// A process that is killed while it replaces a file leaves the new one.
func TestRemoveFilesOfTheKilled(t *testing.T) {
	path := pidfileIn(t)
	for _, name := range []string{".app.pid.new.123", ".app.pid.state.new.4", ".app.pid2.new.5"} {
		if err := os.WriteFile(filepath.Join(filepath.Dir(path), name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := process.RemoveFiles(path); err != nil {
		t.Error(err)
	}
	if got := names(t, path); !slices.Equal(got, []string{".app.pid2.new.5"}) { // another daemon's
		t.Errorf("RemoveFiles left %v", got)
	}
}

func TestRemoveFilesGoesOnAfterAnError(t *testing.T) {
	path := pidfileIn(t)
	acquire(t, path)
	if err := os.MkdirAll(filepath.Join(path, "full"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := process.RemoveFiles(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("RemoveFiles = %v, want an error that names %s", err, path)
	}
	if got := names(t, path); !slices.Equal(got, []string{"app.pid"}) {
		t.Errorf("RemoveFiles left %v", got)
	}
}

// What somebody has left in a PID file is never a number by which a signal would reach many processes, and an error
// is short whatever it is.
func FuzzReadPID(f *testing.F) {
	for _, text := range []string{"7\n", "", "0", "-1", "+7", " 7 ", "4294967297", "seven", "7\n8"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		pid, err := process.ParsePID(data)
		if (err == nil) != (pid > 0) || pid > math.MaxInt32 {
			t.Errorf("%q is %d, %v", data, pid, err)
		}
		if err != nil && len(err.Error()) > 300 {
			t.Errorf("an error of %d bytes: %v", len(err.Error()), err)
		}
	})
}

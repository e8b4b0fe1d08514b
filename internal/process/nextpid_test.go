package process_test

import (
	"os"
	"path/filepath"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

func TestNextPID(t *testing.T) {
	pidfile := filepath.Join(t.TempDir(), "app.pid")
	if err := process.WritePID(pidfile, 1234567); err != nil {
		t.Fatal(err)
	}
	f, err := process.PrepareNextPID(pidfile, 2)
	if err != nil {
		t.Fatal(err)
	}
	wantPID(t, pidfile, 1234567)
	if err := process.CommitNextPID(f, pidfile, 2, 42); err != nil {
		t.Fatal(err)
	}
	wantPID(t, pidfile, 42)
	process.DiscardNextPID(pidfile, 2) // removes what is there, and no more
	wantPID(t, pidfile, 42)
	if info, err := os.Stat(pidfile); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("the PID file is %v, %v, want mode 0644", info, err)
	}
	wantOnly(t, pidfile)
}

func wantPID(t *testing.T, pidfile string, want int) {
	t.Helper()
	if pid, err := process.ReadPID(pidfile); err != nil || pid != want {
		t.Errorf("ReadPID = %d, %v, want %d", pid, err, want)
	}
}

// wantOnly looks for files that somebody has left beside the PID file.
func wantOnly(t *testing.T, pidfile string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(pidfile))
	if err != nil || len(entries) != 1 || entries[0].Name() != filepath.Base(pidfile) {
		t.Errorf("beside the PID file: %v, %v, want nothing", entries, err)
	}
}

func TestNextPIDIsDiscarded(t *testing.T) {
	pidfile := filepath.Join(t.TempDir(), "app.pid")
	if err := process.WritePID(pidfile, 7); err != nil {
		t.Fatal(err)
	}
	for range 2 { // also over what somebody has left who was killed
		f, err := process.PrepareNextPID(pidfile, 2)
		if err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
	}
	process.DiscardNextPID(pidfile, 2)
	wantPID(t, pidfile, 7)
	wantOnly(t, pidfile)
}

func TestNextPIDOfAnother(t *testing.T) {
	pidfile := filepath.Join(t.TempDir(), "app.pid")
	f, err := process.PrepareNextPID(pidfile, 2)
	if err != nil {
		t.Fatal(err)
	}
	other, err := process.PrepareNextPID(pidfile, 2) // takes its place
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	if err := process.CommitNextPID(f, pidfile, 2, 42); err == nil {
		t.Error("a file that is not there any more has become the PID file")
	}
	if _, err := process.ReadPID(pidfile); err == nil {
		t.Error("another file has become the PID file")
	}
}

func TestNextPIDWithoutADirectory(t *testing.T) {
	if _, err := process.PrepareNextPID(filepath.Join(t.TempDir(), "none", "app.pid"), 2); err == nil {
		t.Error("a file is made in a directory that does not exist")
	}
}

//go:build unix

package control_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// It is the file that has been read which counts, and not what its path leads to a moment later.
func TestRunsBy(t *testing.T) {
	dir := t.TempDir()
	its, other, link := filepath.Join(dir, "its.conf"), filepath.Join(dir, "other.conf"), filepath.Join(dir, "link.conf")
	pidfile := filepath.Join(dir, "app.pid")
	must(errors.Join(os.WriteFile(its, nil, 0o600), os.WriteFile(other, nil, 0o600), os.Symlink(its, link)))
	lock, err := process.Acquire(pidfile)
	must(err)
	defer lock.Leave()
	must(process.WriteState(pidfile, &process.State{PID: os.Getpid(), Config: its}))
	isOther := func(file, read string) bool {
		info, err := os.Stat(read)
		must(err)
		e := (*control.OtherConfigError)(nil)
		return errors.As(control.RunsBy(t.Context(), pidfile, file, info), &e)
	}
	for _, tt := range []struct {
		file, read string
		want       bool
	}{
		{its, its, false},
		{link, link, false}, // to the same file
		{link, other, true}, // it was another one when it was read
		{other, other, true},
	} {
		if got := isOther(tt.file, tt.read); got != tt.want {
			t.Errorf("%s, read as %s, is another configuration: %t, want %t", tt.file, tt.read, got, tt.want)
		}
	}
}

// A command that went on where none runs yet could stop the daemon that starts in that moment, and runs by another configuration.
func TestRunsByWhileADaemonStarts(t *testing.T) {
	dir := t.TempDir()
	pidfile, named := filepath.Join(dir, "app.pid"), filepath.Join(dir, "named.conf")
	must(os.WriteFile(named, nil, 0o600))
	info, err := os.Stat(named)
	must(err)
	if err := control.RunsBy(t.Context(), pidfile, named, info); !errors.Is(err, process.ErrNotRunning) {
		t.Errorf("without a daemon: %v, want ErrNotRunning", err)
	}
	lock, err := process.Acquire(pidfile)
	must(err)
	defer lock.Leave()
	answer := make(chan error)
	go func() { answer <- control.RunsBy(t.Context(), pidfile, named, info) }()
	select {
	case err := <-answer:
		t.Fatalf("it did not wait for the daemon that starts: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	must(process.WriteState(pidfile, &process.State{PID: os.Getpid(), Config: filepath.Join(dir, "its.conf")}))
	if e := (*control.OtherConfigError)(nil); !errors.As(<-answer, &e) {
		t.Errorf("the daemon that has started runs by another configuration, and RunsBy does not say so")
	}
}

// What another user's daemon says of where its configuration is leads root nowhere: a file system of that user's need never answer.
func TestRunsByLooksAtNothingOfAnother(t *testing.T) {
	require.Root(t)
	const other = 12345
	dir := t.TempDir()
	must(os.Chmod(dir, 0o755))
	pidfile, named := filepath.Join(dir, "app.pid"), filepath.Join(dir, "named.conf")
	link := filepath.Join(dir, "link.conf")
	must(errors.Join(os.WriteFile(named, nil, 0o600), os.Symlink(named, link)))
	info, err := os.Stat(named)
	must(err)
	lock, err := process.Acquire(pidfile)
	must(err)
	defer lock.Leave()
	for config, want := range map[string]bool{link: true, named: false} {
		must(process.WriteState(pidfile, &process.State{PID: os.Getpid(), Config: config}))
		must(errors.Join(os.Chown(process.LockPath(pidfile), other, other), os.Chown(process.StatePath(pidfile), other, other)))
		e := (*control.OtherConfigError)(nil)
		if err := control.RunsBy(t.Context(), pidfile, named, info); errors.As(err, &e) != want {
			t.Errorf("the daemon says that it runs by %s: %v, want another configuration: %t", config, err, want)
		}
		must(os.Chown(process.StatePath(pidfile), 0, 0))
	}
}

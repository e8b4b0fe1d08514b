//go:build unix

package control_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// It is the file that has been read which counts, and not what its path leads to a moment later.
func TestRunsBy(t *testing.T) {
	dir := t.TempDir()
	its, other, link := filepath.Join(dir, "its.conf"), filepath.Join(dir, "other.conf"), filepath.Join(dir, "link.conf")
	pidfile := filepath.Join(dir, "app.pid")
	must(errors.Join(os.WriteFile(its, nil, 0o600), os.WriteFile(other, nil, 0o600), os.Symlink(its, link)))
	must(process.WriteState(pidfile, &process.State{PID: os.Getpid(), Config: its}))
	isOther := func(file, read string) bool {
		info, err := os.Stat(read)
		must(err)
		e := (*control.OtherConfigError)(nil)
		return errors.As(control.RunsBy(pidfile, file, info), &e)
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
	info, err := os.Stat(other)
	must(err)
	if err := control.RunsBy(filepath.Join(dir, "none.pid"), other, info); err != nil {
		t.Errorf("without a daemon: %v", err)
	}
}

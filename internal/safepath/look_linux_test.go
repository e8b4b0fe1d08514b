package safepath_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/safepath"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// By /proc a process of another user's leads to what is mounted for it alone, such as a file system of that user's that never answers.
func TestLinksIntoOtherProcesses(t *testing.T) {
	require.Root(t)
	for _, uid := range []int{one, 0} { // root's may be one that another has started, by su(1)
		in := dir(t, one, 0o755)
		target := file(t, in, one)
		must(t, os.Chmod(target, 0o644))
		open, err := os.Open(target)
		must(t, err)
		defer open.Close()
		cmd := exec.Command("sleep", "100")
		cmd.Stdin = open
		if uid == 0 { // others cannot get there
			cmd.Dir = in
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
		must(t, cmd.Start())
		t.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() })
		pid, name := cmd.Process.Pid, filepath.Base(target)
		through := fmt.Sprintf("/proc/%d/root%s", pid, target)
		wantRefused(t, link(t, through, dir(t, one, 0o755), one))
		wantRefused(t, through)
		wantRefused(t, fmt.Sprintf("/proc/%d/cwd/%s", pid, name))
		wantRefused(t, fmt.Sprintf("/proc/%d/task/%d/cwd/%s", pid, pid, name))
		wantRefused(t, fmt.Sprintf("/proc/%d/fd/0", pid))
		if _, err := safepath.Lstat(through); !errors.Is(err, safepath.ErrLink) {
			t.Errorf("Lstat of %s: %v, want that the link is not followed", through, err)
		}
	}
}

// wantRefused looks at a path in all ways.
func wantRefused(t *testing.T, path string) {
	t.Helper()
	for name, look := range map[string]func(path string) error{
		"OpenRegular": func(path string) error { return closed(safepath.OpenRegular(path)) },
		"Stat":        func(path string) error { _, err := safepath.Stat(path); return err },
		"Access":      func(path string) error { return safepath.Access(path, 4) },
		"ReadDir":     func(path string) error { _, err := safepath.ReadDir(path); return err },
	} {
		if err := look(path); !errors.Is(err, safepath.ErrLink) {
			t.Errorf("%s of %s: %v, want that the link is not followed", name, path, err)
		}
	}
}

// What none but root could have exchanged is looked at as by package os.
func TestLooks(t *testing.T) {
	in := t.TempDir()
	f := filepath.Join(in, "file")
	l := filepath.Join(in, "link")
	must(t, os.WriteFile(f, nil, 0o600), os.Symlink("file", l))
	for _, path := range []string{f, l, in, in + "/./file", "/", "/proc/self", "/proc/self/fd/0", filepath.Join(in, "none"), filepath.Join(f, "x")} {
		for name, of := range map[string]struct {
			ours, osOwn func(string) (fs.FileInfo, error)
		}{
			"Stat": {safepath.Stat, os.Stat}, "Lstat": {safepath.Lstat, os.Lstat},
		} {
			got, err := of.ours(path)
			want, wantErr := of.osOwn(path)
			if (err == nil) != (wantErr == nil) || err == nil && (!os.SameFile(got, want) || got.Mode() != want.Mode()) {
				t.Errorf("%s of %s: %v, %v, want %v, %v", name, path, got, err, want, wantErr)
			}
			if errors.Is(err, fs.ErrNotExist) != errors.Is(wantErr, fs.ErrNotExist) {
				t.Errorf("%s of %s: %v, want %v", name, path, err, wantErr)
			}
		}
	}
	if entries, err := safepath.ReadDir(in); err != nil || len(entries) != 2 {
		t.Errorf("ReadDir = %v, %v", entries, err)
	}
	if err := safepath.Access(in, 2); err != nil {
		t.Errorf("Access = %v", err)
	}
}

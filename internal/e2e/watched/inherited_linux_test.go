package watched

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// What whoever starts the daemon has open, be it root's shell, no generation has that becomes another user. Without a
// supervisor the first one has it until it ends.
func TestDescriptorsOfTheStarter(t *testing.T) {
	for supervisor, without := range map[string][]int{"yes": {1, 2}, "no": {2}} {
		t.Run("supervise "+supervisor, func(t *testing.T) {
			d := newDaemon(t, "watched", "supervise "+supervisor)
			secret, err := os.Create(filepath.Join(t.TempDir(), "secret"))
			must(t, err)
			defer func() { must(t, secret.Close()) }()
			cmd := exec.Command(d.Binary, "-f", "-c", d.Conf)
			cmd.Dir, cmd.Env, cmd.ExtraFiles = d.Dir, unwatched(), slices.Repeat([]*os.File{secret}, 40) // beyond what gozd passes itself
			watch(t, d, cmd)
			has := map[int]bool{1: holds(t, servingPID(t, d), secret.Name())}
			upgrade(t, d, 1)
			has[2] = holds(t, servingPID(t, d), secret.Name())
			for _, n := range without {
				if has[n] {
					t.Errorf("generation %d has a file that its starter has open", n)
				}
			}
			if !holds(t, cmd.Process.Pid, secret.Name()) {
				t.Error("nor has the first process: this shows nothing")
			}
		})
	}
}

// holds reports whether a process has a file open.
func holds(t *testing.T, pid int, path string) bool {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		if to, _ := os.Readlink(filepath.Join(dir, e.Name())); to == path { // one that has been closed meanwhile is none
			return true
		}
	}
	return false
}

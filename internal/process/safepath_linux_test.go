package process_test

import (
	"os"
	"path/filepath"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

func init() {
	roles["acquire"] = func() {
		lock, err := process.Acquire(os.Getenv(pathEnv))
		must(err)
		lock.Leave()
	}
}

// The configured user puts a link in the place of a directory on the way to what root makes and removes.
func TestLinksOnTheWay(t *testing.T) {
	require.Root(t)
	id := &process.Identity{UID: nobody, GID: nobody}
	for what, do := range map[string]func(path string) error{
		"log":  func(path string) error { return role(t, "open log", path).Run() },
		"lock": func(path string) error { return role(t, "acquire", path).Run() },
		"file": func(path string) error { return id.MakeFile(path, 0o600) },
		"dir":  func(path string) error { return id.MakeDir(path, 0o700) },
		"read": func(path string) error {
			_, err := process.ReadFile(filepath.Join(filepath.Dir(path), "kept"), 1<<10)
			return err
		},
		"remove": func(path string) error { return process.RemoveFiles(filepath.Join(filepath.Dir(path), "kept")) },
		"give":   func(path string) error { return id.TakeDir(filepath.Join(filepath.Dir(path), "empty"), "app") },
	} {
		t.Run(what, func(t *testing.T) {
			home, roots := t.TempDir(), t.TempDir()
			writeFile(t, filepath.Join(roots, "kept"), "root's")
			must(os.Mkdir(filepath.Join(roots, "empty"), 0o755))
			must(os.Symlink(roots, filepath.Join(home, "run")))
			chown(t, nobody, home)
			if err := do(filepath.Join(home, "run", "x")); err == nil {
				t.Error("the user's link was followed")
			}
			names, err := os.ReadDir(roots)
			must(err)
			if len(names) != 2 {
				t.Errorf("root's directory has %v", names)
			}
			// A link of root's, where none but root writes, is followed.
			must(os.Symlink(roots, filepath.Join(roots, "run")))
			if err := do(filepath.Join(roots, "run", "x")); err != nil && what != "remove" {
				t.Errorf("root's own link: %v", err)
			}
		})
	}
}

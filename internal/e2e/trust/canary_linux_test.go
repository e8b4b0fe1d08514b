package trust

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

// canary is a tree of root's that a hostile user would like to have or to harm. Its names are those of
// a daemon's files.
type canary struct {
	dir    string
	before map[string]string
}

// files are the names in a canary.
var files = []string{"app.pid", "app.pid.lock", "app.pid.state", "app.log", "web.sock", "shadow"}

func newCanary(t *testing.T) *canary {
	t.Helper()
	dir := openDir(t)
	for _, name := range files {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte("root's "+name), 0o600))
	}
	must(t, os.Mkdir(filepath.Join(dir, "sub"), 0o700))
	c := &canary{dir: dir}
	c.before = c.snapshot(t)
	return c
}

// snapshot says of each file in the tree what it is, whose, and what is in it.
func (c *canary) snapshot(t *testing.T) map[string]string {
	t.Helper()
	all := make(map[string]string)
	must(t, filepath.WalkDir(c.dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		text := fmt.Sprintf("%v of %d:%d, inode %d, links %d", info.Mode(), st.Uid, st.Gid, st.Ino, st.Nlink)
		if info.Mode().IsRegular() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text += fmt.Sprintf(", %d bytes, %x", len(data), sha256.Sum256(data))
		}
		all[path] = text
		return nil
	}))
	return all
}

// wantUnchanged compares the tree with what it was.
func (c *canary) wantUnchanged(t *testing.T) {
	t.Helper()
	after := c.snapshot(t)
	if maps.Equal(c.before, after) {
		return
	}
	for _, path := range slices.Sorted(maps.Keys(after)) {
		if was, is := c.before[path], after[path]; was != is {
			t.Errorf("%s was %q, and is %q", path, was, is)
		}
	}
	for path := range c.before {
		if _, there := after[path]; !there {
			t.Errorf("%s is gone", path)
		}
	}
}

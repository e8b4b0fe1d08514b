package safepath_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/safepath"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// below makes a directory of a user's in another one.
func below(t *testing.T, in string, uid int, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(in, "below")
	must(t, os.Mkdir(path, 0o700), os.Chown(path, uid, uid), os.Chmod(path, mode))
	return path
}

// A directory of somebody else's below one of a user's is one that he may have moved there: root changes nothing in it, and reads there only
// what that user could.
func TestMovedDirectories(t *testing.T) {
	require.Root(t)
	for name, tt := range map[string]struct {
		uid            int
		dir, mode      os.FileMode // of the directory, and a file in it
		entered, reads bool
	}{
		"his own":                     {one, 0o700, 0o600, true, true},
		"root's":                      {0, 0o755, 0o600, false, false},
		"root's, all may read":        {0, 0o755, 0o644, false, true},
		"root's, all may read a file": {0, 0o700, 0o644, false, false},
		"another's":                   {another, 0o755, 0o600, false, false},
	} {
		path := file(t, below(t, dir(t, one, 0o755), tt.uid, tt.dir), tt.uid)
		must(t, os.Chmod(path, tt.mode))
		for what, do := range map[string]func() error{
			"open":   func() error { return closed(safepath.OpenFile(path, os.O_WRONLY, 0)) },
			"mkdir":  func() error { _, err := safepath.Mkdir(path+".d", 0o700); return err },
			"rename": func() error { return errors.Join(safepath.Rename(path, path+".n"), safepath.Rename(path+".n", path)) },
			"unlink": func() error { return ignoreMissing(safepath.Unlink(path + ".none")) },
		} {
			if err := do(); tt.entered && err != nil || !tt.entered && !errors.Is(err, safepath.ErrForeign) {
				t.Errorf("%s, %s: %v, want that it is entered: %t", name, what, err, tt.entered)
			}
		}
		if err := closed(safepath.OpenRegular(path)); (err == nil) != tt.reads || err != nil && !errors.Is(err, safepath.ErrForeign) {
			t.Errorf("%s: OpenRegular = %v, want that it is read: %t", name, err, tt.reads)
		}
		p, err := safepath.WalkTo(path)
		must(t, err)
		p.Close()
	}
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func closed(f *os.File, err error) error {
	if err == nil {
		err = f.Close()
	}
	return err
}

// What root makes in a user's directory is that user's from its beginning.
func TestMkdirForAnother(t *testing.T) {
	require.Root(t)
	for _, uid := range []int{0, one} {
		path := filepath.Join(dir(t, uid, 0o755), "made")
		got, err := safepath.Mkdir(path, 0o700)
		info, statErr := os.Stat(path)
		must(t, err, statErr)
		if owner := int(info.Sys().(*syscall.Stat_t).Uid); got != uid || owner != uid || info.Mode().Perm() != 0o700 {
			t.Errorf("in user %d's directory: Mkdir = %d, and it is user %d's, %v", uid, got, owner, info.Mode())
		}
	}
}

// Where everybody can write, a file of root's is read only if everybody may read it: anybody can have moved it there.
func TestSecretsWhereEverybodyWrites(t *testing.T) {
	require.Root(t)
	path := file(t, dir(t, 0, os.ModeSticky|0o777), 0)
	for mode, reads := range map[os.FileMode]bool{0o600: false, 0o640: false, 0o644: true} {
		must(t, os.Chmod(path, mode))
		if err := closed(safepath.OpenRegular(path)); (err == nil) != reads || err != nil && !errors.Is(err, safepath.ErrForeign) {
			t.Errorf("with mode %v: OpenRegular = %v, want that it is read: %t", mode, err, reads)
		}
	}
}

// What is mounted below a user's directory is no exception: he can move it with a directory above it.
func TestMovedMount(t *testing.T) {
	require.Root(t)
	mount := below(t, dir(t, one, 0o755), one, 0o755)
	if err := unix.Mount("none", mount, "tmpfs", 0, "mode=755"); err != nil {
		require.Missing(t, "mounting is not allowed here: "+err.Error())
	}
	defer func() { must(t, unix.Unmount(mount, 0)) }()
	if err := closed(safepath.OpenFile(filepath.Join(mount, "x"), os.O_WRONLY|os.O_CREATE, 0o600)); !errors.Is(err, safepath.ErrForeign) {
		t.Errorf("OpenFile = %v, want ErrForeign", err)
	}
}

func TestIsMapped(t *testing.T) {
	for uidMap, want := range map[string]bool{
		"         0          0 4294967295\n": true,
		"         0       1000          1\n": false,
		"         0     300000     100000\n": true,
		"  0 1000 1\n 1 100000 65536\n":      true,
		"  0 1000 1\n 1 100000 65533\n":      false,
		"":                                   false,
	} {
		if got := safepath.IsMapped(uidMap, 65534); got != want {
			t.Errorf("by %q user 65534 is mapped: %t", uidMap, got)
		}
	}
}

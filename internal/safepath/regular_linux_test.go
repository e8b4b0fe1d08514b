package safepath_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/safepath"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// The users of the tests, besides root.
const (
	one     = 12345
	another = 12346
)

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// dir makes a directory of a user's.
func dir(t *testing.T, uid int, mode os.FileMode) string {
	t.Helper()
	path := t.TempDir()
	must(t, os.Chown(path, uid, uid), os.Chmod(path, mode))
	return path
}

func file(t *testing.T, in string, uid int) string {
	t.Helper()
	path := filepath.Join(in, "file")
	must(t, os.WriteFile(path, []byte("text"), 0o600), os.Chown(path, uid, uid))
	return path
}

func link(t *testing.T, to, in string, uid int) string {
	t.Helper()
	path := filepath.Join(in, "link")
	must(t, os.Symlink(to, path), os.Lchown(path, uid, uid))
	return path
}

// Root reads by a link where none but root could have put it, and by another user's only his own files. Nobody knows who has moved a link of
// root's to where others can write.
func TestLinksLeadToOwnFiles(t *testing.T) {
	require.Root(t)
	roots, ones, anothers := file(t, dir(t, 0, 0o755), 0), file(t, dir(t, one, 0o755), one), file(t, dir(t, another, 0o755), another)
	const sticky = os.ModeSticky | 0o777
	for name, tt := range map[string]struct {
		to          string
		owner, link int
		mode        os.FileMode
		follows     bool
	}{
		"root's where only root writes":            {roots, 0, 0, 0o755, true},
		"root's in a directory for all":            {roots, 0, 0, sticky, false},
		"root's in another's directory":            {roots, one, 0, 0o755, false},
		"a user's to his own file":                 {ones, one, one, 0o755, true},
		"a user's to his own file, in one for all": {ones, 0, one, sticky, true},
		"a user's to root's file":                  {roots, one, one, 0o755, false},
		"a user's to another's file":               {anothers, one, one, 0o755, false},
		"another's in a user's directory":          {anothers, one, another, 0o755, true},
	} {
		path := link(t, tt.to, dir(t, tt.owner, tt.mode), tt.link)
		f, err := safepath.OpenRegular(path)
		if err == nil {
			text, _ := io.ReadAll(f)
			if f.Close(); string(text) != "text" {
				t.Errorf("%s: it holds %q", name, text)
			}
		}
		if (err == nil) != tt.follows || err != nil && (!errors.Is(err, safepath.ErrLink) || !strings.Contains(err.Error(), path)) {
			t.Errorf("%s: OpenRegular = %v, want that it follows: %t", name, err, tt.follows)
		}
	}
}

// A link may lead up and down again, as deployments have it.
func TestLinksLeadUp(t *testing.T) {
	require.Root(t)
	home := dir(t, one, 0o755)
	must(t, os.Mkdir(filepath.Join(home, "sub"), 0o755), os.Chown(filepath.Join(home, "sub"), one, one))
	own, path := file(t, home, one), link(t, "sub/../file", home, one)
	f, err := safepath.OpenRegular(path)
	must(t, err)
	must(t, f.Close(), os.Chown(own, 0, 0))
	if _, err := safepath.OpenRegular(path); !errors.Is(err, safepath.ErrLink) {
		t.Errorf("OpenRegular = %v for root's file, want ErrLink", err)
	}
}

// What is no regular file is not opened, by whatever name.
func TestNothingElseIsOpened(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	must(t, unix.Mkfifo(fifo, 0o600))
	here := t.TempDir()
	for path, kind := range map[string]string{
		fifo: "a FIFO", here: "a directory", "/dev/ptmx": "a device", link(t, "/dev/ptmx", t.TempDir(), os.Geteuid()): "a device",
	} {
		if _, err := safepath.OpenRegular(path); err == nil || !strings.Contains(err.Error(), path+": not a regular file, but "+kind) {
			t.Errorf("OpenRegular = %v, want that it is %s", err, kind)
		}
	}
}

package socket_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/shortdir"
)

// Whoever owns the directory puts a link in the place of the socket's file, between its being bound and its being given
// its mode: what the link leads to must not change.
func TestSetAccessFollowsNoLink(t *testing.T) {
	dir := shortdir.Make(t)
	path, other := filepath.Join(dir, "x.sock"), filepath.Join(dir, "other")
	ln, err := socket.Bind("unix", path, socket.Options{Mode: 0o600, UID: -1, GID: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for name, link := range map[string]func(old, new string) error{"symbolic": os.Symlink, "hard": os.Link} {
		if err := errors.Join(os.WriteFile(other, nil, 0o600), os.Remove(path), link(other, path)); err != nil {
			t.Fatal(err)
		}
		_ = socket.SetAccess(ln, path, socket.Options{Mode: 0o666, UID: -1, GID: -1}) // it may say so, or change its own
		if info, err := os.Stat(other); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s link: what it leads to is %v, %v", name, info.Mode(), err)
		}
	}
}

// A socket's file that is another by now is not removed with the first.
func TestRemoveFileLeavesAnother(t *testing.T) {
	path := filepath.Join(shortdir.Make(t), "x.sock")
	opts := socket.Options{Mode: 0o600, UID: -1, GID: -1}
	first, err := socket.Listen("unix", path, opts)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	is := socket.File(path)
	if err := os.Remove(path); err != nil || !socket.IsMissing(path) {
		t.Fatal(err)
	}
	second, err := socket.Listen("unix", path, opts)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if err := socket.RemoveFile(path, is); err != nil || socket.IsMissing(path) {
		t.Errorf("RemoveFile of the first = %v, and the second is gone: %v", err, socket.IsMissing(path))
	}
	if err := socket.RemoveFile(path, socket.File(path)); err != nil || !socket.IsMissing(path) {
		t.Errorf("RemoveFile of the second = %v, and it is gone: %v", err, socket.IsMissing(path))
	}
}

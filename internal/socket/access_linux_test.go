package socket_test

import (
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
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

// Whoever owns the directory has a default access control list there, by which a user of his choice could connect whatever the mode is.
func TestSetAccessRemovesTheList(t *testing.T) {
	dir := shortdir.Make(t)
	list := binary.LittleEndian.AppendUint32(nil, 2) // linux/posix_acl_xattr.h: a version, and entries of tag, permissions and number
	for _, e := range [][3]uint32{{0x01, 7, math.MaxUint32}, {0x02, 7, 54321}, {0x04, 5, math.MaxUint32}, {0x10, 7, math.MaxUint32}, {0x20, 5, math.MaxUint32}} {
		list = binary.LittleEndian.AppendUint16(list, uint16(e[0]))
		list = binary.LittleEndian.AppendUint16(list, uint16(e[1]))
		list = binary.LittleEndian.AppendUint32(list, e[2])
	}
	if err := unix.Setxattr(dir, "system.posix_acl_default", list, 0); errors.Is(err, unix.ENOTSUP) {
		require.Missing(t, "the file system of "+dir+" has no access control lists")
	} else if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "x.sock")
	ln, err := socket.Bind("unix", path, socket.Options{Mode: 0o660, UID: -1, GID: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if _, err := unix.Lgetxattr(path, "system.posix_acl_access", make([]byte, 1<<10)); !errors.Is(err, unix.ENODATA) {
		t.Errorf("the socket's file has an access control list: %v", err)
	}
	if info, err := os.Lstat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("its mode is %v, %v, want 0660", info.Mode(), err)
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

package socket_test

import (
	"os"
	"path/filepath"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/shortdir"
)

// A link of another user's in the place of the socket's directory leads root to bind and remove nothing elsewhere.
func TestLinkToTheSocketsDirectory(t *testing.T) {
	require.Root(t)
	home, roots := shortdir.Make(t), shortdir.Make(t)
	stale := filepath.Join(roots, "stale.sock")
	listen(t, "unix", stale, own).Close()
	if err := os.Symlink(roots, filepath.Join(home, "run")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(home, 54321, 54321); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"new.sock", "stale.sock"} {
		path := filepath.Join(home, "run", name)
		if ln, err := socket.Listen("unix", path, own); err == nil {
			ln.Close()
			t.Errorf("%s: root listens behind another user's link", name)
		}
		if err := socket.Remove(path); err == nil && name == "stale.sock" {
			t.Error("root removes a socket behind another user's link")
		}
	}
	if _, err := os.Lstat(stale); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(filepath.Join(roots, "new.sock")); err == nil {
		t.Error("root made a file behind another user's link")
	}
}

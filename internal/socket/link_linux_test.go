package socket_test

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

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

// TestSwappedSocketDirectory exchanges the socket's directory with a link to one of root's while root binds, until that has led root
// there: nothing is left in root's.
func TestSwappedSocketDirectory(t *testing.T) {
	require.Root(t)
	home, roots := shortdir.Make(t), shortdir.Make(t)
	run, link := filepath.Join(home, "run"), filepath.Join(home, "link")
	for _, err := range []error{
		os.Mkdir(run, 0o755), os.Symlink(roots, link),
		os.Chown(home, 54321, 54321), os.Chown(run, 54321, 54321), os.Lchown(link, 54321, 54321),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	over := make(chan struct{})
	var swapper sync.WaitGroup
	swapper.Go(func() {
		for {
			select {
			case <-over:
				return
			default:
				_ = unix.Renameat2(unix.AT_FDCWD, run, unix.AT_FDCWD, link, unix.RENAME_EXCHANGE)
			}
		}
	})
	defer swapper.Wait()
	defer close(over)
	for misled, deadline := 0, time.Now().Add(30*time.Second); misled < 5; {
		if time.Now().After(deadline) {
			t.Fatalf("root was led elsewhere %d times only", misled)
		}
		ln, err := socket.Listen("unix", filepath.Join(run, "new.sock"), own)
		if err == nil {
			ln.Close()
		} else if errors.Is(err, unix.EACCES) { // bound with that user's rights
			misled++
		}
		if names, err := os.ReadDir(roots); err != nil || len(names) > 0 {
			t.Fatalf("root's directory has %v, %v", names, err)
		}
	}
}

package socket_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/safepath"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/shortdir"
)

// mover is a user whose directories these tests have sockets in.
const mover = 12345

var private = socket.Options{Mode: 0o600, UID: -1, GID: -1}

// movers makes a directory of the mover's.
func movers(t *testing.T) string {
	t.Helper()
	require.Root(t)
	dir := shortdir.Make(t)
	if err := os.Chown(dir, mover, mover); err != nil {
		t.Fatal(err)
	}
	return dir
}

// asMover calls f again and again with the mover's rights, until the test has ended.
func asMover(t *testing.T, f func()) {
	t.Helper()
	end := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		err := safepath.AsUser(mover, mover, func() error {
			for {
				select {
				case <-end:
					return nil
				default:
					f()
				}
			}
		})
		if err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		close(end)
		done.Wait()
	})
}

// withoutNetAdmin calls f in a thread that may not administer the network, as root in a container.
func withoutNetAdmin(t *testing.T, f func()) {
	t.Helper()
	without(t, unix.CAP_NET_ADMIN, f)
}

// without calls f in a thread that has not all of root's capabilities.
func without(t *testing.T, capability int, f func()) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before [2]unix.CapUserData
	header := func() *unix.CapUserHeader {
		return &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	}
	require.NoError(t, unix.Capget(header(), &before[0]))
	without := before
	without[0].Effective &^= 1 << capability
	require.NoError(t, unix.Capset(header(), &without[0]))
	defer func() { require.NoError(t, unix.Capset(header(), &before[0])) }()
	f()
}

func wantAccess(t *testing.T, path string, mode fs.FileMode, uid uint32) bool {
	t.Helper()
	has, st := stat(t, path)
	if has.Perm() != mode || st.Uid != uid {
		t.Errorf("%s has mode %v and is user %d's, want %v and %d", path, has, st.Uid, mode, uid)
		return false
	}
	return true
}

// The socket's file is the mover's for a moment: he gives it another mode.
func TestMoverOpensNoSocket(t *testing.T) {
	path := filepath.Join(movers(t), "x.sock")
	asMover(t, func() { _ = unix.Chmod(path, 0o777) })
	for range 300 {
		ln, err := socket.Bind("unix", path, private)
		if err != nil {
			t.Fatal(err)
		}
		private := wantAccess(t, path, 0o600, 0)
		require.NoError(t, errors.Join(ln.Close(), socket.Remove(path)))
		if !private {
			return
		}
	}
}

// Whoever has connected to a socket of datagrams while the file was his, sends to it ever after.
func TestMoverSendsNothing(t *testing.T) {
	path := filepath.Join(movers(t), "x.sock")
	if s, err := socket.Bind("unixgram", path, private); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("Bind = %v, %v, want fs.ErrPermission", s, err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there is a file: %v", err)
	}
	for _, opts := range []socket.Options{{Mode: 0o666, UID: -1, GID: -1}, {Mode: 0o600, UID: mover, GID: -1}} {
		s, err := socket.Bind("unixgram", path, opts)
		if err != nil {
			t.Fatal(err)
		}
		wantAccess(t, path, opts.Mode, uint32(max(opts.UID, 0)))
		require.NoError(t, errors.Join(s.Close(), socket.Remove(path)))
	}
}

// plant puts another socket in the place of one, which is called real.sock then.
func plant(t *testing.T, path string, make func() error) (real string) {
	t.Helper()
	real = filepath.Join(filepath.Dir(path), "real.sock")
	require.NoError(t, errors.Join(os.Rename(path, real), make()))
	return real
}

// Before an upgrade it is asked who may use a socket, and after one that has failed that is so again, whatever stands at the path.
func TestAccessIsThatOfTheSocket(t *testing.T) {
	path := filepath.Join(movers(t), "x.sock")
	ln := listen(t, "unix", path, private)
	real := plant(t, path, func() error {
		other, err := net.Listen("unix", path)
		if err == nil {
			t.Cleanup(func() { other.Close() })
		}
		return errors.Join(err, os.Chmod(path, 0o777), os.Chown(path, mover, mover))
	})
	access, err := socket.Access(ln, path)
	if err != nil || access.Mode != 0o600 || access.UID != 0 {
		t.Errorf("Access = %+v, %v", access, err)
	}
	require.NoError(t, socket.SetAccess(ln, path, access))
	wantAccess(t, real, 0o600, 0)
	withoutNetAdmin(t, func() {
		if access, err := socket.Access(ln, path); err == nil {
			t.Errorf("Access = %+v without CAP_NET_ADMIN, want an error", access)
		}
	})
}

// Root does not know which file the socket is bound to, and the mover has put one of another daemon's there.
func TestMoverChangesNoOtherSocket(t *testing.T) {
	dir := movers(t)
	path, another := filepath.Join(dir, "x.sock"), filepath.Join(dir, "another.sock")
	ln := listen(t, "unix", path, private)
	listen(t, "unix", another, private)
	withoutNetAdmin(t, func() {
		require.NoError(t, socket.SetAccess(ln, path, private)) // there is nothing to change
		plant(t, path, func() error { return os.Rename(another, path) })
		if err := socket.SetAccess(ln, path, socket.Options{Mode: 0o660, UID: mover, GID: -1}); err == nil {
			t.Error("SetAccess = nil")
		}
		wantAccess(t, path, 0o600, 0)
	})
}

// The same, while the socket is made.
func TestMoverExchangesNoSocket(t *testing.T) {
	dir := movers(t)
	path, another := filepath.Join(dir, "x.sock"), filepath.Join(dir, "another.sock")
	asMover(t, func() { _ = unix.Renameat2(unix.AT_FDCWD, path, unix.AT_FDCWD, another, unix.RENAME_EXCHANGE) })
	withoutNetAdmin(t, func() {
		for range 300 {
			other, err := net.Listen("unix", another)
			if err != nil {
				t.Fatal(err)
			}
			require.NoError(t, os.Chmod(another, 0o600))
			_, is := stat(t, another)
			ln, err := socket.Bind("unix", path, socket.Options{Mode: 0o666, UID: 65534, GID: -1})
			if err == nil {
				require.NoError(t, ln.Close())
			}
			for _, name := range []string{path, another} {
				var st unix.Stat_t
				if unix.Lstat(name, &st) == nil && st.Ino == is.Ino && (st.Mode&0o777 != 0o600 || st.Uid != 0) {
					t.Fatalf("the other socket has mode %o and is user %d's", st.Mode&0o777, st.Uid)
				}
			}
			require.NoError(t, other.Close())
			_, _ = os.Remove(path), os.Remove(another)
		}
	})
}

// In a directory such as /tmp it is not root alone who could have put a socket of root's in the place of one: that one's owner may be another.
func TestOwnerExchangesNoSocket(t *testing.T) {
	require.Root(t)
	dir := shortdir.Make(t)
	require.NoError(t, os.Chmod(dir, 0o777|os.ModeSticky))
	path, another := filepath.Join(dir, "x.sock"), filepath.Join(dir, "another.sock")
	withoutNetAdmin(t, func() {
		his := socket.Options{Mode: 0o666, UID: mover, GID: -1}
		ln := listen(t, "unix", path, his) // a new one is root's
		wantAccess(t, path, 0o666, mover)
		listen(t, "unix", another, private)
		plant(t, path, func() error { return os.Rename(another, path) })
		if err := socket.SetAccess(ln, path, his); err == nil {
			t.Error("SetAccess = nil")
		}
		wantAccess(t, path, 0o600, 0)
		if socket.IsOwnFile(ln, path) {
			t.Error("IsOwnFile = true, and root would remove it")
		}
	})
	ln := listen(t, "unix", another, private)
	if !socket.IsOwnFile(ln, another) || socket.IsOwnFile(ln, path) {
		t.Error("IsOwnFile is wrong where the kernel tells it")
	}
}

// Root that may not change the mode of another's files gives its sockets their mode first.
func TestSocketIsGivenAwayAtTheEnd(t *testing.T) {
	require.Root(t)
	path := filepath.Join(shortdir.Make(t), "x.sock")
	without(t, unix.CAP_FOWNER, func() {
		listen(t, "unix", path, socket.Options{Mode: 0o666, UID: mover, GID: -1}) // less the umask, before
		wantAccess(t, path, 0o666, mover)
	})
}

// Without /proc the access control list that the mover's directory gives a file cannot be seen.
func TestMoversDirectoryWithoutProc(t *testing.T) {
	path := filepath.Join(movers(t), "x.sock")
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and the thread ends with this goroutine
		err := errors.Join(unix.Unshare(unix.CLONE_FS|unix.CLONE_NEWNS), unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""), unix.Unmount("/proc", unix.MNT_DETACH))
		if err != nil {
			done <- err
			return
		}
		ln, err := socket.Bind("unix", path, private)
		if err == nil {
			err = errors.Join(errors.New("Bind = nil"), ln.Close())
		} else if strings.Contains(err.Error(), "without /proc") {
			err = nil
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there is a file: %v", err)
	}
}

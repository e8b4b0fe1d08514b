//go:build unix

package socket_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/shortdir"
)

// pathIn returns a path that fits into a socket address.
func pathIn(t *testing.T) string {
	t.Helper()
	return filepath.Join(shortdir.Make(t), "x.sock")
}

func stat(t *testing.T, path string) (fs.FileMode, *syscall.Stat_t) {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode(), info.Sys().(*syscall.Stat_t)
}

func checkMode(t *testing.T, path string, want fs.FileMode) {
	t.Helper()
	if got, _ := stat(t, path); got != fs.ModeSocket|want {
		t.Errorf("mode %v, want %v", got, fs.ModeSocket|want)
	}
}

func TestListenUnix(t *testing.T) {
	for _, mode := range []fs.FileMode{0, 0o600, 0o660, 0o777} {
		path := pathIn(t)
		ln := listen(t, "unix", path, socket.Options{Mode: mode, UID: -1, GID: -1})
		checkMode(t, path, mode)
		if mode != 0 || os.Geteuid() == 0 {
			checkServes(t, ln)
		}
		ln.Close()
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("closing the listener removed the file: %v", err)
		}
	}
}

// A client that waits for the socket must never get in before the mode is what
// it has to be.
func TestModeBeforeTheFirstConnection(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	for range 20 {
		path := pathIn(t)
		var clients sync.WaitGroup
		for range 2 {
			clients.Go(func() { connectAndLook(t, path) })
		}
		listen(t, "unix", path, socket.Options{Mode: 0o600, UID: -1, GID: -1})
		clients.Wait()
	}
}

// connectAndLook is a client that cannot wait.
func connectAndLook(t *testing.T, path string) {
	t.Helper()
	c, err := net.Dial("unix", path)
	for err != nil {
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("connect: %v", err)
			return
		}
		c, err = net.Dial("unix", path)
	}
	defer c.Close()
	if info, err := os.Lstat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("connected while the mode was %v, %v", info.Mode(), err)
	}
}

func TestOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	path := pathIn(t)
	ln := listen(t, "unix", path, socket.Options{Mode: 0o640, UID: 54321, GID: 54322})
	if _, st := stat(t, path); st.Uid != 54321 || st.Gid != 54322 {
		t.Errorf("it belongs to %d:%d, want 54321:54322", st.Uid, st.Gid)
	}
	if err := socket.SetAccess(ln, path, socket.Options{Mode: 0o600, UID: -1, GID: 54323}); err != nil {
		t.Error(err)
	}
	if _, st := stat(t, path); st.Uid != 54321 || st.Gid != 54323 {
		t.Errorf("it belongs to %d:%d, want 54321:54323", st.Uid, st.Gid)
	}
	checkMode(t, path, 0o600)
}

func TestOwnerNotAllowed(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may give files away")
	}
	path := pathIn(t)
	ln, err := socket.Listen("unix", path, socket.Options{UID: 0, GID: 0})
	if !errors.Is(err, fs.ErrPermission) {
		t.Errorf("Listen = %v, %v, want fs.ErrPermission", ln, err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file is left: %v", err)
	}
}

func TestSetAccess(t *testing.T) {
	path := pathIn(t)
	ln := listen(t, "unix", path, own)
	if err := socket.SetAccess(ln, path, socket.Options{Mode: 0o606, UID: -1, GID: -1}); err != nil {
		t.Error(err)
	}
	checkMode(t, path, 0o606)
	if err := socket.SetAccess(ln, "@gozd-test", own); err != nil {
		t.Errorf("SetAccess of an abstract name: %v", err)
	}
}

// Until Begin the address is taken, and a client is refused: what nobody has got into needs no
// reset when it is closed.
func TestBind(t *testing.T) {
	for network, address := range map[string]string{"tcp": "127.0.0.1:0", "tcp4": "127.0.0.1:0", "tcp6": "[::1]:0", "unix": pathIn(t)} {
		ln, err := socket.Bind(network, address, own)
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		if c, err := net.Dial(ln.Addr().Network(), ln.Addr().String()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("connect to %v before Begin = %v, %v, want ECONNREFUSED", ln.Addr(), c, err)
		}
		if network != "unix" {
			other := listen(t, network, ln.Addr().String(), own) // a bound socket is no obstacle,
			if err := socket.Begin(ln); !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), ln.Addr().String()) {
				t.Errorf("Begin beside another listener = %v, want EADDRINUSE", err) // the first to listen has it
			}
			other.Close()
		}
		if err := socket.Begin(ln); err != nil {
			t.Error(err)
		}
		checkServes(t, ln.(net.Listener))
	}
}

// What the net package listens on, Bind does too.
func TestBindWildcards(t *testing.T) {
	for _, address := range []string{":0", "[::]:0", "0.0.0.0:0", "localhost:0"} {
		ln := listen(t, "tcp", address, own)
		ref, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer ref.Close()
		got, want := ln.Addr().(*net.TCPAddr), ref.Addr().(*net.TCPAddr)
		if !got.IP.Equal(want.IP) || got.Zone != want.Zone {
			t.Errorf("%s is bound to %v, by the net package to %v", address, got, want)
		}
		for _, host := range []string{"127.0.0.1", "::1"} {
			if reaches(ln, host) != reaches(ref, host) {
				t.Errorf("%s is reached by %s: %v, want %v", address, host, reaches(ln, host), !reaches(ln, host))
			}
		}
	}
}

func reaches(ln net.Listener, host string) bool {
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	c, err := net.Dial("tcp", net.JoinHostPort(host, port))
	if err == nil {
		c.Close()
	}
	return err == nil
}

func TestStaleSocketIsReplaced(t *testing.T) {
	path := pathIn(t)
	listen(t, "unix", path, own).Close() // as after kill -9
	checkServes(t, listen(t, "unix", path, own))
}

func TestLiveSocketIsRefused(t *testing.T) {
	path := pathIn(t)
	ln := listen(t, "unix", path, own)
	_, err := socket.Listen("unix", path, own)
	want := "listen unix " + path + ": another process answers on it: address already in use"
	if !errors.Is(err, syscall.EADDRINUSE) || err.Error() != want {
		t.Errorf("Listen: %v, want %q", err, want)
	}
	probe, err := ln.Accept() // the kernel has taken it before anybody accepts
	if err != nil {
		t.Fatal(err)
	}
	probe.Close()
	checkServes(t, ln)
}

// What is in the way is somebody's.
func TestOtherFilesAreKept(t *testing.T) {
	path := pathIn(t)
	makers := map[string]func() error{
		"-rw-------": func() error { return os.WriteFile(path, []byte("mine"), 0o600) },
		"d":          func() error { return os.Mkdir(path, 0o755) },
		"L":          func() error { return os.Symlink(filepath.Join(filepath.Dir(path), "other"), path) },
		"p":          func() error { return syscall.Mkfifo(path, 0o600) },
	}
	for mode, make := range makers {
		if err := make(); err != nil {
			t.Fatal(err)
		}
		before, _ := stat(t, path)
		_, err := socket.Listen("unix", path, own)
		if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), path+": a file is there that is no socket ("+mode) {
			t.Errorf("Listen with %s in the way: %v", mode, err)
		}
		if err := socket.Remove(path); err != nil {
			t.Error(err)
		}
		if after, _ := stat(t, path); after != before {
			t.Errorf("what was %v is %v", before, after)
		}
		os.Remove(path)
	}
}

func TestListenUnixInAMissingDirectory(t *testing.T) {
	path := filepath.Join(pathIn(t), "x.sock")
	if _, err := socket.Listen("unix", path, own); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("Listen: %v, want fs.ErrNotExist and the path", err)
	}
}

func TestRemove(t *testing.T) {
	path := pathIn(t)
	listen(t, "unix", path, own)
	for range 2 { // the second time it is gone, which is no error
		if err := socket.Remove(path); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("after Remove: %v", err)
		}
	}
	if err := socket.Remove("@gozd-test"); err != nil {
		t.Error(err)
	}
}

func TestSharedPort(t *testing.T) {
	old := listen(t, "tcp", "127.0.0.1:0", own)
	_, port, _ := net.SplitHostPort(old.Addr().String())
	share := socket.Options{UID: -1, GID: -1, SharePort: true}
	if ln, err := socket.Listen("tcp4", "0.0.0.0:"+port, share); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("Listen before AllowSharing = %v, %v, want EADDRINUSE", ln, err)
	}
	if err := socket.AllowSharing(old, true); err != nil {
		t.Fatal(err)
	}
	if ln, err := socket.Listen("tcp4", "0.0.0.0:"+port, own); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("Listen without SharePort = %v, %v, want EADDRINUSE", ln, err)
	}
	now := listen(t, "tcp4", "0.0.0.0:"+port, share)
	old.Close()
	checkServes(t, now)
	if err := socket.AllowSharing(old, true); err == nil {
		t.Error("AllowSharing of a closed listener succeeded")
	}
}

// SharePort is a second attempt: a port that is free is not shared with anybody.
func TestFreePortIsNotShared(t *testing.T) {
	share := socket.Options{UID: -1, GID: -1, SharePort: true}
	ln := listen(t, "tcp", "127.0.0.1:0", share)
	if again, err := socket.Listen("tcp", ln.Addr().String(), share); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("Listen = %v, %v, want EADDRINUSE", again, err)
	}
}

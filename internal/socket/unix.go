//go:build unix

package socket

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fdpass"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/safepath"
)

const (
	// backlog is the queue of connections not yet accepted. The kernel lowers
	// it to its own limit (net.core.somaxconn), which the net package asks for
	// too.
	backlog = math.MaxInt32

	// probeTimeout bounds the attempt to connect to a socket file that is in
	// the way. A live daemon's kernel answers at once.
	probeTimeout = time.Second
)

// bindUnix binds, and Begin lets the kernel listen: between the two the
// file gets its mode and owner, and nobody can connect. With net.Listen the
// file would have, for a moment, what the umask leaves.
func bindUnix(network, path string, opts Options) (Socket, error) {
	var dir *safepath.Parent
	if !isAbstract(path) {
		var err error
		dir, err = safepath.Walk(path, false) // or a link leads root's bind elsewhere
		if err != nil {
			return nil, listenError(path, err)
		}
		defer dir.Close()
		if err := removeStale(network, path); err != nil {
			return nil, listenError(path, err)
		}
	}
	fd, err := newSocket(network)
	if err != nil {
		return nil, listenError(path, err)
	}
	f := os.NewFile(uintptr(fd), path)
	defer func() { _ = f.Close() }() // net.FileListener duplicates it
	// On Linux the file's mode is the socket's, less the umask: never more than it is to be. Elsewhere this fails.
	_ = unix.Fchmod(fd, uint32(opts.Mode.Perm()))
	bind := func() error { return os.NewSyscallError("bind", unix.Bind(fd, &unix.SockaddrUnix{Name: path})) }
	if opts.madeBy = unix.Geteuid(); dir == nil || dir.Mover < 0 {
		err = bind()
	} else if err = mayReceive(network, dir, opts); err == nil {
		opts = opts.madeByOther(dir.Mover)
		err = dir.AsMover(bind)
	}
	if err != nil {
		return nil, listenError(path, err)
	}
	if dir != nil && unix.Geteuid() == 0 && !isBoundIn(fd, dir) {
		// The kernel knows no bind in a directory but by a path of /proc, which would be the socket's address ever after.
		removeBound(fd)
		return nil, listenError(path, fmt.Errorf("bound elsewhere: %w", safepath.ErrLink))
	}
	ln, err := openBound(f, path, opts)
	if err != nil {
		_ = Remove(path)
		return nil, listenError(path, err)
	}
	return ln, nil
}

// mayReceive refuses a socket of datagrams that is not for the user whose directory it is in: whoever connects to it is not asked again, and
// the file is that user's for a moment.
func mayReceive(network string, dir *safepath.Parent, opts Options) error {
	if IsPackets(network) && opts.UID != dir.Mover && opts.Mode&0o002 == 0 {
		return fmt.Errorf("user %d, whose directory it is in, could send to it before it has its mode: %w", dir.Mover, fs.ErrPermission)
	}
	return nil
}

func openBound(f *os.File, path string, opts Options) (Socket, error) {
	if err := giveAccess(f, path, opts); err != nil {
		return nil, err
	}
	return FromFile(f)
}

// Begin lets clients connect to what Bind has returned; [Packets] receive already. The error wraps
// syscall.EADDRINUSE if another process has been faster: a bound address is not
// taken for sure.
func Begin(ln Socket) error {
	if _, ok := ln.(Packets); ok {
		return nil
	}
	raw, err := ln.SyscallConn()
	if err != nil {
		return err
	}
	var listenErr error
	err = raw.Control(func(fd uintptr) { listenErr = unix.Listen(int(fd), backlog) })
	if err = cmp.Or(err, os.NewSyscallError("listen", listenErr)); err != nil {
		return &net.OpError{Op: "listen", Net: ln.Addr().Network(), Addr: ln.Addr(), Err: err}
	}
	return nil
}

func listenError(path string, err error) error {
	return &net.OpError{Op: "listen", Net: "unix", Addr: &net.UnixAddr{Name: path, Net: "unix"}, Err: err}
}

func newSocket(network string) (int, error) {
	kind := unix.SOCK_STREAM
	if IsPackets(network) {
		kind = unix.SOCK_DGRAM
	}
	syscall.ForkLock.RLock() // SOCK_CLOEXEC does not exist on macOS
	defer syscall.ForkLock.RUnlock()
	fd, err := unix.Socket(unix.AF_UNIX, kind, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	unix.CloseOnExec(fd)
	fdpass.Refuse(fd) // before anybody can send any: one of datagrams receives from its bind on
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return -1, os.NewSyscallError("setnonblock", err)
	}
	return fd, nil
}

// removeStale removes a socket file that nobody answers on. There is a race
// with another program that binds the same path between the probe and the
// removal; one path for two programs is beyond help.
func removeStale(network, path string) error {
	info, err := safepath.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := probeFile(network, path, info); err != nil {
		return err
	}
	return unlink(path)
}

// Owner returns the user whose the file at path is.
func Owner(path string) (uid int, err error) {
	info, err := safepath.Lstat(path)
	if err != nil {
		return -1, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return -1, errors.ErrUnsupported
	}
	return int(st.Uid), nil
}

// Access returns the mode and owner of the file that a Unix socket is bound to, for SetAccess, or an error where it is not known which that is. bound is the socket.
func Access(bound syscall.Conn, path string) (opts Options, err error) {
	if isAbstract(path) {
		return Options{}, fs.ErrNotExist
	}
	err = control(bound, func(fd int) (err error) {
		opts, err = access(fd, path)
		return err
	})
	return opts, err
}

// SetAccess gives a Unix socket's file the mode and owner of opts, as
// Listen does for a new one. bound is the socket. In a directory of another user's anything could stand at the
// path: what is changed is the file that the socket is bound to, and if root does not know which that is, nothing is.
func SetAccess(bound syscall.Conn, path string, opts Options) error {
	opts.madeBy = -1
	return giveAccess(bound, path, opts)
}

func giveAccess(bound syscall.Conn, path string, opts Options) error {
	if isAbstract(path) {
		return nil
	}
	return control(bound, func(fd int) error { return setAccess(fd, path, opts) })
}

func control(c syscall.Conn, f func(fd int) error) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var callErr error
	err = raw.Control(func(fd uintptr) { callErr = f(int(fd)) })
	return cmp.Or(err, callErr)
}

// IsBound reports whether clients find the Unix socket bound at path: by an abstract name always.
func IsBound(bound syscall.Conn, path string) (is bool) {
	if isAbstract(path) {
		return true
	}
	err := control(bound, func(fd int) error {
		is = isBound(fd, path)
		return nil
	})
	return err == nil && is
}

// IsOwnFile is IsBound for who wants to remove the file, and false for root where it cannot know: another's socket may be there.
func IsOwnFile(bound syscall.Conn, path string) (is bool) {
	if isAbstract(path) {
		return false
	}
	err := control(bound, func(fd int) error {
		is = isOwnFile(fd, path)
		return nil
	})
	return err == nil && is
}

func setReusePort(c syscall.RawConn, on bool) error { return setOption(c, unix.SO_REUSEPORT, on) }

func setReuseAddr(c syscall.RawConn, on bool) error { return setOption(c, unix.SO_REUSEADDR, on) }

func setOption(c syscall.RawConn, name int, on bool) error {
	value := 0
	if on {
		value = 1
	}
	var setErr error
	err := c.Control(func(fd uintptr) { setErr = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, name, value) })
	return errors.Join(err, setErr)
}

// Remove removes a Unix socket's file when its daemon has ended or has moved to
// another address. Abstract names and files that are no sockets are left alone.
func Remove(path string) error { return RemoveFile(path, nil) }

// RemoveFile is Remove, and leaves another file than is alone, unless is is nil: somebody may have removed
// a socket's file, and another socket may have been bound at its path.
func RemoveFile(path string, is fs.FileInfo) error {
	if isAbstract(path) {
		return nil
	}
	info, err := safepath.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // somebody has already removed it
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket || is != nil && !os.SameFile(info, is) {
		return nil // somebody has replaced it
	}
	return unlink(path)
}

// unlink is os.Remove, which would try rmdir too.
func unlink(path string) error {
	if err := safepath.Unlink(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// File is the file at the path of a Unix socket; nil if there is none, or the name is abstract.
func File(path string) fs.FileInfo {
	if isAbstract(path) {
		return nil
	}
	info, err := safepath.Lstat(path)
	if err != nil {
		return nil
	}
	return info
}

// FileID names the file of a Unix socket, by device and inode; "" where there is none. The inode of a socket that is open is not given to another file.
func FileID(path string) string {
	if isAbstract(path) {
		return ""
	}
	info, err := safepath.Lstat(path)
	if err != nil {
		return ""
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%d:%d", st.Dev, st.Ino)
}

// IsMissing reports whether somebody has removed a Unix socket's file: no client can find the socket any more.
func IsMissing(path string) bool {
	if isAbstract(path) {
		return false
	}
	_, err := safepath.Lstat(path)
	return errors.Is(err, fs.ErrNotExist)
}

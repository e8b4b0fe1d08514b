package supervise

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fdpass"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/safepath"
)

// notifyName is the socket's name in its directory, whose own name begins with dirPrefix.
const (
	notifyName = "notify"
	dirPrefix  = "gozd-notify-"
)

// longestPath is the longest path of a Unix socket (UNIX_PATH_MAX, with its final zero).
const longestPath = 107

// door is the socket on which the program speaks to systemd, as the generations' NOTIFY_SOCKET: a file, in a
// directory of its own that only this process's user can change, and only the service's user can write to.
// An abstract name would be open to every user. A nil door is valid.
type door struct {
	path   string
	dir    *os.File // the path may lead elsewhere by now, where its parent is another user's
	socket *os.File
}

// openDoor makes the directory where it can: not everybody has all of them.
func openDoor(user *User) (*door, error) {
	var errs []error
	for _, base := range append([]string{"/run"}, append(filepath.SplitList(os.Getenv("RUNTIME_DIRECTORY")), os.TempDir())...) {
		d, err := openDoorIn(base, user)
		if err == nil {
			return d, nil
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("supervise: %s: %w", notifyEnv, errors.Join(errs...))
}

func openDoorIn(base string, user *User) (_ *door, err error) {
	sweep(base)
	path, err := os.MkdirTemp(base, dirPrefix) // 0700: nobody else gets there before all is done
	if err != nil {
		return nil, err
	}
	d := &door{path: filepath.Join(path, notifyName)}
	defer func() {
		if err != nil {
			d.remove()
		}
	}()
	if len(d.path) > longestPath || strings.Contains(d.path, "\n") {
		return nil, fmt.Errorf("%s: too long for a socket", d.path)
	}
	fd, err := d.openDir(0o077)
	if err != nil {
		return nil, err
	}
	return d, d.bind(fd, user)
}

// openDir opens the directory, if it is this process's user's, and nobody else has one of these rights.
func (d *door) openDir(others uint32) (fd int, err error) {
	path := filepath.Dir(d.path)
	fd, err = unix.Open(path, unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: path, Err: err}
	}
	d.dir = os.NewFile(uintptr(fd), path)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return -1, os.NewSyscallError("fstat", err)
	}
	if int(st.Uid) != os.Geteuid() || st.Mode&others != 0 {
		return -1, fmt.Errorf("%s: somebody else has put another directory there", path)
	}
	return fd, nil
}

// maxSwept is how many directories sweep looks at. Supervisors are hardly ever killed; in a directory of everybody's, others can make any number.
const maxSwept = 64

// sweep removes the directories of supervisors that were killed: those with a socket that no process has.
func sweep(base string) {
	entries, _ := safepath.ReadDir(base) // there is nothing to remove in one that cannot be read
	tried := 0
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), dirPrefix) {
			continue
		}
		if tried++; tried > maxSwept {
			return
		}
		d := &door{path: filepath.Join(base, e.Name(), notifyName)}
		if fd, err := d.openDir(0o022); err == nil && isDeserted(fd) {
			d.remove()
		} else if d.dir != nil {
			_ = d.dir.Close()
		}
	}
}

// isDeserted reports whether there is a socket in the directory that no process has.
func isDeserted(dir int) bool {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Close(fd) }()
	err = unix.Connect(fd, socketIn(dir))
	return errors.Is(err, unix.ECONNREFUSED)
}

// socketIn is the address of the socket in a directory that is open, wherever its path leads.
func socketIn(dir int) *unix.SockaddrUnix {
	return &unix.SockaddrUnix{Name: fmt.Sprintf("/proc/self/fd/%d/%s", dir, notifyName)}
}

// bind makes the socket in the directory that is open.
func (d *door) bind(dir int, user *User) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	d.socket = os.NewFile(uintptr(fd), "notify")
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	if err := unix.Bind(fd, socketIn(dir)); err != nil {
		return &os.PathError{Op: "bind", Path: d.path, Err: err}
	}
	if err := unix.Fchmodat(dir, notifyName, 0o600, 0); err != nil {
		return &os.PathError{Op: "chmod", Path: d.path, Err: err}
	}
	if user == nil || user.UID == os.Geteuid() {
		return nil
	}
	if err := unix.Fchownat(dir, notifyName, user.UID, user.GID, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &os.PathError{Op: "chown", Path: d.path, Err: err}
	}
	if err := unix.Fchmod(dir, 0o711); err != nil {
		return &os.PathError{Op: "chmod", Path: filepath.Dir(d.path), Err: err}
	}
	return nil
}

// remove removes the files. The socket stays open.
func (d *door) remove() {
	if d == nil || d.path == "" {
		return
	}
	if d.dir != nil {
		if fd, err := fdpass.Number(d.dir); err == nil {
			_ = unix.Unlinkat(fd, notifyName, 0)
		}
		_ = d.dir.Close()
	}
	_ = unix.Rmdir(filepath.Dir(d.path)) // of no directory that has something in it
	d.path = ""
}

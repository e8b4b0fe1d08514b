package safepath

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

const readFlags = unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC | openFlags

// openRegular looks at the file by O_PATH, which opens nothing, before it opens that very file.
func (p *Parent) openRegular() (*os.File, error) {
	flag := unix.O_PATH | unix.O_CLOEXEC
	if !p.follow {
		flag |= unix.O_NOFOLLOW
	}
	path, err := unix.Openat(p.fd, p.name, flag, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(path) }()
	var st unix.Stat_t
	if err := unix.Fstat(path, &st); err != nil {
		return nil, err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFLNK {
		return nil, ErrLink
	}
	if err := p.check(&st); err != nil {
		return nil, err
	}
	fd, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", path), readFlags, 0)
	if errors.Is(err, unix.ENOENT) { // no /proc is mounted
		fd, err = p.openSame(&st)
	}
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), p.path), nil
}

// openSame opens the file by its name, if it is still the one that has been looked at.
func (p *Parent) openSame(st *unix.Stat_t) (fd int, err error) {
	flag := readFlags
	if !p.follow {
		flag |= unix.O_NOFOLLOW
	}
	if fd, err = unix.Openat(p.fd, p.name, flag, 0); err != nil {
		return -1, err
	}
	var now unix.Stat_t
	if err = unix.Fstat(fd, &now); err == nil && (now.Dev != st.Dev || now.Ino != st.Ino) {
		err = ErrLink
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

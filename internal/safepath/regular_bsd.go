//go:build unix && !linux

package safepath

import (
	"os"

	"golang.org/x/sys/unix"
)

// openRegular looks at the file before it opens it, and at what it has opened.
func (p *Parent) openRegular() (*os.File, error) {
	var st unix.Stat_t
	var flag, look int
	if !p.follow {
		flag, look = unix.O_NOFOLLOW, unix.AT_SYMLINK_NOFOLLOW
	}
	if err := unix.Fstatat(p.fd, p.name, &st, look); err != nil {
		return nil, err
	}
	if err := p.check(&st); err != nil {
		return nil, err
	}
	fd, err := unix.Openat(p.fd, p.name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC|flag, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), p.path)
	if err = unix.Fstat(fd, &st); err == nil {
		err = p.check(&st)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

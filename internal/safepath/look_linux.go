package safepath

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Stat is os.Stat. Whoever owns a directory on the way could lead root to a file system of his own, which need not answer: then no signal ends
// the process that looks. Links of /proc lead there from everywhere.
func Stat(path string) (fs.FileInfo, error) {
	if unix.Geteuid() != 0 {
		return os.Stat(path)
	}
	f, err := look("stat", path, true)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err == nil && info.Mode()&fs.ModeSymlink != 0 {
		return nil, pathError("stat", path, ErrLink)
	}
	return info, err
}

// Lstat is os.Lstat, by [Walk].
func Lstat(path string) (fs.FileInfo, error) {
	if unix.Geteuid() != 0 {
		return os.Lstat(path)
	}
	f, err := look("lstat", path, false)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return f.Stat()
}

// look opens the file by O_PATH, which only names it.
func look(op, path string, follow bool) (*os.File, error) {
	p, err := Walk(path, follow)
	var f *os.File
	if err == nil {
		defer p.Close()
		f, err = p.OpenFile(unix.O_PATH, 0)
	}
	if failed := (*fs.PathError)(nil); errors.As(err, &failed) {
		failed.Op = op
	}
	return f, err
}

func openDir(path string) (*os.File, error) {
	p, err := Walk(path, true)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	return p.OpenFile(unix.O_RDONLY|unix.O_DIRECTORY, 0)
}

// Access is access(2) with this process's effective rights.
func Access(path string, mode uint32) error {
	at := path
	if unix.Geteuid() == 0 {
		f, err := look("access", path, true)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		at = fmt.Sprintf("/proc/self/fd/%d", f.Fd())
	}
	if err := unix.Faccessat(unix.AT_FDCWD, at, mode, unix.AT_EACCESS); err != nil {
		return pathError("write to", path, err)
	}
	return nil
}

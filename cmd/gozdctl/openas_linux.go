package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/safepath"
)

// openAs opens the regular file at path for reading with the rights of a user, in his own group alone: he has named it, and could name any
// file of root's, a FIFO or a device. It is a thread that has them, and no process: the user could trace that, and have by it what he may not
// have himself, outside of whatever his service is confined to.
func openAs(ctx context.Context, path string, uid, gid int) (*os.File, error) {
	type answer struct {
		f   *os.File
		err error
	}
	answers := make(chan answer, 1)
	go func() {
		var f *os.File
		err := safepath.AsUser(uid, gid, func() (err error) {
			f, err = openHere(path)
			return err
		})
		answers <- answer{f, err}
	}()
	select {
	case a := <-answers:
		return a.f, a.err
	case <-ctx.Done(): // a file system of that user's need never answer
		return nil, context.Cause(ctx)
	}
}

// openHere opens the file with the rights that this thread has.
func openHere(path string) (*os.File, error) {
	if !filepath.IsAbs(path) {
		return nil, &fs.PathError{Op: "open", Path: path, Err: errors.New("not an absolute path")}
	}
	// By O_PATH, which opens nothing: a device may do something. By a link of /proc one gets where no path leads.
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_MAGICLINKS}
	name, err := unix.Openat2(unix.AT_FDCWD, path, &how)
	if errors.Is(err, unix.ENOSYS) { // before Linux 5.6
		name, err = unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer func() { _ = unix.Close(name) }()
	var st unix.Stat_t
	if err := unix.Fstat(name, &st); err != nil {
		return nil, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	var system unix.Statfs_t
	if unix.Fstatfs(name, &system) == nil && system.Type == unix.PROC_SUPER_MAGIC { // files there say what this process is
		return nil, &fs.PathError{Op: "open", Path: path, Err: errors.New("no log, but of the kernel's")}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, &fs.PathError{Op: "open", Path: path, Err: errors.New("not a regular file")}
	}
	fd, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", name), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

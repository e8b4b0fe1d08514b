package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
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
		runtime.LockOSThread() // for good: the thread ends with this goroutine, and the rights with it
		f, err := openHere(path, uid, gid)
		answers <- answer{f, err}
	}()
	select {
	case a := <-answers:
		return a.f, a.err
	case <-ctx.Done(): // a file system of that user's need never answer
		return nil, context.Cause(ctx)
	}
}

// openHere has this thread take a user's rights (setfsuid(2)), and open the file.
func openHere(path string, uid, gid int) (*os.File, error) {
	if err := unix.Setgroups([]int{gid}); err != nil { // of this thread, unlike package syscall's
		return nil, os.NewSyscallError("setgroups", err)
	}
	_, _ = unix.SetfsgidRetGid(gid) // there is no error, but the number that it was
	_, _ = unix.SetfsuidRetUid(uid)
	hasGID, _ := unix.SetfsgidRetGid(-1)
	if hasUID, _ := unix.SetfsuidRetUid(-1); hasUID != uid || hasGID != gid {
		return nil, errors.New("the rights of the log's user cannot be taken")
	}
	if !filepath.IsAbs(path) {
		return nil, &fs.PathError{Op: "open", Path: path, Err: errors.New("not an absolute path")}
	}
	if err := dropCapabilities(); err != nil {
		return nil, err
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
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, &fs.PathError{Op: "open", Path: path, Err: errors.New("not a regular file")}
	}
	fd, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", name), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// dropCapabilities has this thread act without root's (capset(2)): setfsuid has left those that are not about files, such as the one to
// trace others.
func dropCapabilities() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return os.NewSyscallError("capget", err)
	}
	data[0].Effective, data[1].Effective = 0, 0
	return os.NewSyscallError("capset", unix.Capset(&header, &data[0]))
}

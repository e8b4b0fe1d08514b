//go:build unix

package process

import (
	"fmt"
	"io/fs"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/safepath"
)

// MayWrite returns an error that wraps fs.ErrPermission where id, or this process
// if id is nil, may not write the file at path, or create files in that directory.
// Of another user it knows what the permission bits say: an access control list
// is not looked at.
func MayWrite(path string, id *Identity) error {
	info, err := safepath.Stat(path)
	if err != nil {
		return err
	}
	if id == nil {
		return mayWriteNow(path, info.IsDir())
	}
	if id.UID == 0 || id.allowed(info) {
		return nil
	}
	return fmt.Errorf("%s: user %d may not write it: %w", path, id.UID, fs.ErrPermission)
}

func mayWriteNow(path string, dir bool) error {
	how := uint32(unix.W_OK)
	if dir {
		how |= unix.X_OK
	}
	return safepath.Access(path, how)
}

// allowed reports whether the permission bits let id write, and for a directory
// search too.
func (id *Identity) allowed(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return true
	}
	needed := fs.FileMode(0o2)
	if info.IsDir() {
		needed = 0o3
	}
	shift := 0
	switch gid := int(st.Gid); {
	case int(st.Uid) == id.UID:
		shift = 6
	case gid == id.GID || slices.Contains(id.Groups, gid):
		shift = 3
	}
	return info.Mode().Perm()>>shift&needed == needed
}

// MayBecome returns an error that wraps fs.ErrPermission where this process may not
// become id.
func (id *Identity) MayBecome() error {
	if unix.Geteuid() == 0 || (unix.Geteuid() == id.UID && unix.Getegid() == id.GID) {
		return nil
	}
	return fmt.Errorf("user %d may not become user %d, group %d: %w", unix.Geteuid(), id.UID, id.GID, fs.ErrPermission)
}

// MaySetMaxFiles returns an error that wraps fs.ErrPermission where SetMaxFiles(n) would
// not be allowed.
func MaySetMaxFiles(n uint64) error {
	var now unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &now); err != nil {
		return fmt.Errorf("max_files %d: %w", n, err)
	}
	most := uint64(now.Max) //nolint:unconvert // on FreeBSD it is signed
	if n > most && unix.Geteuid() != 0 {
		return fmt.Errorf("max_files %d: the limit is %d: %w", n, most, fs.ErrPermission)
	}
	return nil
}

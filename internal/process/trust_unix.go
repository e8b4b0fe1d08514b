//go:build unix

package process

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/safepath"
)

// maxLinks bounds the symbolic links on a path, as the kernel does.
const maxLinks = 40

// OnlyRootWrites returns an error that wraps [ErrUntrusted] if anybody but root could write to the file or directory at a
// path, or put another in its place: by writing to any directory or link on the way there. A directory such as /tmp is one that others can write
// to: they cannot touch root's files there, but move others of root's there from a directory of their own.
func OnlyRootWrites(name string) error {
	open, err := onlyRootWrites(name)
	if err == nil && open {
		return fmt.Errorf("%s lies where others than root can write: %w", name, ErrUntrusted)
	}
	return err
}

// onlyRootWrites is OnlyRootWrites, but only reports whether others can move files of root's to where the path ends: into the directory that it
// names, or there beside the file.
func onlyRootWrites(name string) (open bool, err error) {
	path, err := filepath.Abs(name)
	if err != nil {
		return false, err
	}
	rest := strings.Split(path, "/")[1:]
	at, links, sticky := "/", 0, false
	for {
		info, err := os.Lstat(at)
		if err != nil {
			return false, err
		}
		if err := rootsOwn(at, info); err != nil {
			return false, err
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			if sticky { // others can move a link of root's there from a directory of their own
				return false, fmt.Errorf("%s is a link where others than root can write: %w", at, ErrUntrusted)
			}
			if safepath.IsMagicLink(at) {
				return false, fmt.Errorf("%s leads to where it does not say: %w", at, ErrUntrusted)
			}
			if links++; links > maxLinks {
				return false, &fs.PathError{Op: "open", Path: name, Err: syscall.ELOOP}
			}
			to, err := os.Readlink(at)
			if err != nil {
				return false, err
			}
			if !filepath.IsAbs(to) {
				to = filepath.Join(filepath.Dir(at), to)
			}
			at, rest, sticky = "/", append(strings.Split(filepath.Clean(to), "/")[1:], rest...), false
			continue
		}
		for len(rest) > 0 && rest[0] == "" {
			rest = rest[1:]
		}
		isOpen := info.Mode()&fs.ModeSticky != 0 && othersWrite(at, info)
		if len(rest) == 0 {
			return isOpen || sticky && !info.IsDir(), nil // who moves a directory must be able to write to it
		}
		at, rest, sticky = filepath.Join(at, rest[0]), rest[1:], isOpen
	}
}

// rootsOwn checks one directory or link. In a sticky directory others may add files, and not touch root's.
func rootsOwn(path string, info fs.FileInfo) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	if st.Uid != 0 {
		return fmt.Errorf("%s is user %d's: %w", path, st.Uid, ErrUntrusted)
	}
	if info.Mode()&(fs.ModeSymlink|fs.ModeSticky) == 0 && othersWrite(path, info) {
		return fmt.Errorf("%s can be written by others than root (%v): %w", path, info.Mode(), ErrUntrusted)
	}
	return nil
}

func othersWrite(path string, info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return info.Mode()&0o002 != 0 || info.Mode()&0o020 != 0 && (!ok || st.Gid != 0 || safepath.HasACL(path))
}

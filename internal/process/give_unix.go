//go:build unix

package process

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/safepath"
)

// gives reports whether what this process makes would belong to somebody else than id.
func (id *Identity) gives() bool {
	return id != nil && unix.Geteuid() == 0 && (id.UID != 0 || id.GID != unix.Getegid())
}

// MakeFile makes an empty file at path that belongs to id, with just this mode, before this process
// becomes id. One that is there is left alone: in a directory of id's it could be a link to any file of root's.
// For a nil id, and for one that this process is already, it does nothing.
func (id *Identity) MakeFile(path string, mode fs.FileMode) error {
	if !id.gives() {
		return nil
	}
	f, err := create(path, os.O_WRONLY, mode)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Chown(id.UID, id.GID), f.Close())
}

// MakeDir makes a directory with just this mode, if only its last element is missing, which
// belongs to id, or to this process if id is nil. One that is there is left alone. In a directory of another user's
// it is that user's: see [safepath.Mkdir].
func (id *Identity) MakeDir(path string, mode fs.FileMode) error {
	made, err := safepath.Mkdir(path, mode&0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	dir, err := openDir(path)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	info, err := dir.Stat()
	if err != nil {
		return err
	}
	_, more := dir.ReadDir(1)
	if uid, ok := owner(info); ok && uid != made || !errors.Is(more, io.EOF) {
		return &fs.PathError{Op: "mkdir", Path: path, Err: ErrUntrusted}
	}
	if made != os.Geteuid() && (!id.gives() || made != id.UID) {
		return nil // it is another user's, in his directory
	}
	if err := dir.Chmod(mode); err != nil { // whatever the umask is
		return err
	}
	if id.gives() {
		return dir.Chown(id.UID, id.GID)
	}
	return nil
}

// openDir opens a directory, and follows no link to one.
func openDir(path string) (*os.File, error) {
	return safepath.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY, 0)
}

// TakeDir makes a directory id's that is there already: the default directory of a daemon's own, in which a daemon
// of the same name has left its files, of root's or of the user that it had before. It is given away only if there is nothing in it but
// files whose names begin with ours, and, where it is not root's, at least one: the program may have the name of a
// directory that others use, as lock and user in /run.
func (id *Identity) TakeDir(path, ours string) error {
	if !id.gives() {
		return nil
	}
	dir, err := openDir(path)
	if err != nil {
		return fmt.Errorf("open directory %s: %w", path, err)
	}
	defer func() { _ = dir.Close() }()
	info, err := dir.Stat()
	if err != nil {
		return err
	}
	if uid, ok := owner(info); ok && uid == id.UID {
		return nil
	}
	if err := mayGive(dir, info, ours); err != nil {
		return fmt.Errorf("directory %s is not given to user %d: %w", path, id.UID, err)
	}
	if err := dir.Chown(id.UID, id.GID); err != nil {
		return fmt.Errorf("give directory %s to user %d: %w", path, id.UID, err)
	}
	return nil
}

// mayGive says, by an error, why a directory must stay whose it is.
func mayGive(dir *os.File, info fs.FileInfo, ours string) error {
	if info.Mode()&fs.ModeSticky != 0 || info.Mode().Perm()&0o002 != 0 {
		return fmt.Errorf("everybody can write to it (%v): %w", info.Mode(), fs.ErrPermission)
	}
	names, err := dir.Readdirnames(safepath.MaxNames)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if len(names) == safepath.MaxNames {
		return fmt.Errorf("it has %d files or more: %w", len(names), fs.ErrPermission)
	}
	for _, name := range names {
		if !strings.HasPrefix(strings.TrimPrefix(name, "."), ours) {
			return fmt.Errorf("it has files of others, such as %q: %w", name, fs.ErrPermission)
		}
	}
	if uid, ok := owner(info); ok && uid != 0 && len(names) == 0 {
		return fmt.Errorf("it is user %d's: %w", uid, fs.ErrPermission)
	}
	return nil
}

// Readable returns an error that wraps fs.ErrPermission if this process cannot open the file at path
// for reading, as it is now and not as it was started. What else is wrong with the file is not looked at.
func Readable(path string) error { return may(path, unix.R_OK, "read") }

// Writable is Readable for writing.
func Writable(path string) error { return may(path, unix.W_OK, "write") }

func may(path string, mode uint32, what string) error {
	if err := unix.Access(path, mode); !errors.Is(err, unix.EACCES) {
		return nil
	}
	return fmt.Errorf("user %d cannot %s %s: %w", unix.Geteuid(), what, path, fs.ErrPermission)
}

// SetUmask has files that this process creates lack these permissions.
func SetUmask(mask fs.FileMode) { unix.Umask(int(mask.Perm())) }

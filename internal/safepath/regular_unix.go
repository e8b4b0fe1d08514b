//go:build unix

package safepath

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// OpenRegular opens the regular file at path for reading, and nothing else: a FIFO would block whoever opens it, and
// a device may do something. It follows symbolic links, as certificates and configurations often are some. For root one that others could have
// put there leads to files of whoever made it, and to no others. Where others can write it reads nobody else's file by a second name, and
// none that is not for everybody to read: whoever may write there may have moved it there.
func OpenRegular(path string) (*os.File, error) {
	p, err := walkTo(path, true, true, false)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	f, err := p.openRegular()
	if errors.Is(err, unix.ELOOP) {
		err = ErrLink
	}
	if err != nil {
		return nil, pathError("open", path, err)
	}
	return f, nil
}

// check refuses a file that is not what whoever named it could have meant.
func (p *Parent) check(st *unix.Stat_t) error {
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return errNotRegular(st.Mode)
	case p.led >= 0 && p.led != int(st.Uid):
		return fmt.Errorf("user %d's link leads to user %d's file: %w", p.led, st.Uid, ErrLink)
	case p.Shared && st.Nlink > 1 && int(st.Uid) != p.Mover:
		return fmt.Errorf("it is user %d's, with %d names, where others can write: %w", st.Uid, st.Nlink, ErrForeign)
	case (p.Mover > 0 || p.worldWritable) && int(st.Uid) != p.Mover && st.Mode&0o004 == 0:
		return fmt.Errorf("it is user %d's, and not for everybody to read, where others may have moved it: put it into a directory of root's: %w", st.Uid, ErrForeign)
	}
	return nil
}

// errNotRegular is of the mode of a file, which systems have in one of two sizes.
func errNotRegular[M uint16 | uint32](mode M) error {
	kind := "something else"
	switch mode & unix.S_IFMT {
	case unix.S_IFDIR:
		kind = "a directory"
	case unix.S_IFIFO:
		kind = "a FIFO"
	case unix.S_IFSOCK:
		kind = "a socket"
	case unix.S_IFCHR, unix.S_IFBLK:
		kind = "a device"
	}
	return fmt.Errorf("not a regular file, but %s", kind)
}

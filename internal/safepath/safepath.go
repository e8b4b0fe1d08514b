// Package safepath opens files for root where other users may write. Whoever owns a directory on the way to a file
// can put a symbolic link there, and exchange it between a look and a use. So root walks such a path by descriptors: a link
// is followed only while none but root could have put it there, and what is only read, too, where it leads to a file of whoever made the
// link. Users other than root can be led to no more than
// they can do themselves, and are not held up. So is root on systems other than Linux, where only the last element of a
// path is looked at.
package safepath

import (
	"errors"
	"io/fs"
)

// ErrLink means that a path has a symbolic link that another user than root could have made.
var ErrLink = errors.New("a symbolic link, which is not followed")

// ErrForeign means that a file could be another user's than whoever named it.
var ErrForeign = errors.New("a file of another user's")

func pathError(op, path string, err error) error {
	return &fs.PathError{Op: op, Path: path, Err: err}
}

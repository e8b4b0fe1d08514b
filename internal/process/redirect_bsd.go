//go:build unix && !linux

package process

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// redirect makes descriptors 1 and 2 duplicates of f.
func redirect(f *os.File) error {
	return control(f, func(fd int) error {
		return errors.Join(unix.Dup2(fd, 1), unix.Dup2(fd, 2))
	})
}

package process

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// redirect makes descriptors 1 and 2 duplicates of f: a crash of the runtime
// and the output of child processes go there too, not only what the program
// writes to os.Stdout.
func redirect(f *os.File) error {
	return control(f, func(fd int) error {
		return errors.Join(unix.Dup3(fd, 1, 0), unix.Dup3(fd, 2, 0))
	})
}

package process

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/early"
)

// redirect makes descriptors 1 and 2 duplicates of f: a crash of the runtime
// and the output of child processes go there too, not only what the program
// writes to os.Stdout. Descriptor 2 follows when this process is ready.
func redirect(f *os.File) error {
	return control(f, func(fd int) error {
		return errors.Join(unix.Dup3(fd, 1, 0), early.SetStderr(fd))
	})
}

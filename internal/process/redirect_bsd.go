//go:build unix && !linux

package process

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/early"
)

// redirect makes descriptors 1 and 2 duplicates of f, the latter when this process is ready.
func redirect(f *os.File) error {
	return control(f, func(fd int) error {
		return errors.Join(unix.Dup2(fd, 1), early.SetStderr(fd))
	})
}

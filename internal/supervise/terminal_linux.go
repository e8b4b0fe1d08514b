package supervise

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// OnTerminal reports whether a person has started this process: its input or its output is a terminal.
func OnTerminal() bool {
	return isTerminal(0) || isTerminal(1)
}

// HasTerminal reports whether this process has a controlling terminal. One that is closed is gone. Where that cannot be known, as without a free
// descriptor, it has one: clients must not turn a request for an upgrade into a stop.
func HasTerminal() bool {
	f, err := os.OpenFile("/dev/tty", os.O_RDWR|unix.O_NOCTTY, 0)
	if err == nil {
		_ = f.Close()
	}
	for _, none := range []error{unix.ENXIO, unix.EIO, unix.ENODEV, unix.ENOENT} {
		if errors.Is(err, none) {
			return false
		}
	}
	return true
}

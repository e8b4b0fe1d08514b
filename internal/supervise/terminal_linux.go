package supervise

import (
	"os"

	"golang.org/x/sys/unix"
)

// OnTerminal reports whether a person has started this process: its input or its output is a terminal.
func OnTerminal() bool {
	for _, fd := range []int{0, 1} {
		if _, err := unix.IoctlGetTermios(fd, unix.TCGETS); err == nil {
			return true
		}
	}
	return false
}

// HasTerminal reports whether this process has a controlling terminal. One that is closed is gone.
func HasTerminal() bool {
	f, err := os.OpenFile("/dev/tty", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	_ = f.Close()
	return true
}

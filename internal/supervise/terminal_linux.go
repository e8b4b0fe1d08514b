package supervise

import (
	"os"

	"golang.org/x/sys/unix"
)

// OnTerminal reports whether a person has started this process: its input or its output is a terminal.
func OnTerminal() bool {
	return isTerminal(0) || isTerminal(1)
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

package supervise

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// IsSupervised reports whether this process is a generation 1 that a supervisor has started. It says so until
// Inherited is called.
func IsSupervised() bool { return os.Getenv(channelEnv) != "" }

// Inherited returns generation 1's end of the channel where a supervisor has started this process, and nil
// otherwise. Call it once, before any process is started: it removes the mark from the environment.
func Inherited() (*Client, error) {
	text := os.Getenv(channelEnv)
	if text == "" {
		return nil, nil
	}
	_ = os.Unsetenv(channelEnv)
	fd, err := strconv.Atoi(text)
	if err != nil || !isSocket(fd) {
		return nil, fmt.Errorf("supervise: %s is %q, and that is no socket: another daemon has passed on its environment", channelEnv, text)
	}
	unix.CloseOnExec(fd)
	return NewClient(os.NewFile(uintptr(fd), "supervisor"))
}

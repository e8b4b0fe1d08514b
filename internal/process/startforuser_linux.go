package process

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// StartForUser calls start, which starts a process that is, or becomes, another user's, in a thread that has nothing of root's to leave to
// it: a process has the session keyring and the inheritable capabilities of the thread that starts it, and no other thread of this process
// loses its own. The keyring is a new one: this process's is perhaps that of root's login, and whoever has it reads the keys there,
// whatever user he is. Where the kernel has no keyrings, or lets nobody make one, as in some containers, the process has none of root's
// either, or that of the container.
func StartForUser(start func() error) error { return startForUser(newKeyring, start) }

func startForUser(joinNew, start func() error) error {
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with this goroutine
		if err := joinNew(); err != nil && !hasNoKeyrings(err) {
			started <- fmt.Errorf("leave root's session keyring: %w", err)
			return
		}
		if err := dropInheritable(setCapabilities); err != nil {
			started <- fmt.Errorf("drop inheritable capabilities: %w", err)
			return
		}
		started <- start()
	}()
	return <-started
}

func newKeyring() error {
	_, err := unix.KeyctlInt(unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0)
	return os.NewSyscallError("keyctl", err)
}

// hasNoKeyrings reports whether an error says that the kernel has none, or lets nobody make one. Any other, as that of a quota that is used up, says
// nothing of the one that is there.
func hasNoKeyrings(err error) bool {
	return errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES)
}

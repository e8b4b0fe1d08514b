package process

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// StartForUser calls start, which starts a process that is, or becomes, another user's, in a thread that has nothing of root's to leave to
// it: a process has the session keyring and the inheritable capabilities of the thread that starts it, and no other thread of this process
// loses its own. The keyring is a new one: this process's is perhaps that of root's login, and whoever has it reads the keys there,
// whatever user he is. Where the kernel has no keyrings, or lets nobody make one, as in some containers, the process has none of root's
// either, or that of the container.
func StartForUser(start func() error) error {
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with this goroutine
		_, _ = unix.KeyctlInt(unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0)
		if err := dropInheritable(setCapabilities); err != nil {
			started <- fmt.Errorf("drop inheritable capabilities: %w", err)
			return
		}
		started <- start()
	}()
	return <-started
}

package process

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// WithNewKeyring calls start, which starts a process that is, or becomes, another user's. Its session keyring is a new one: this
// process's is perhaps that of root's login, and whoever has it reads the keys there, whatever user he is. A process has the keyring of
// the thread that starts it, and no other thread of this one gets it. Where the kernel has no keyrings, or lets nobody
// make one, as in some containers, the process has none of root's either, or that of the container.
func WithNewKeyring(start func() error) error {
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with this goroutine
		_, _ = unix.KeyctlInt(unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0)
		started <- start()
	}()
	return <-started
}

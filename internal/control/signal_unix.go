//go:build unix

package control

import (
	"context"
	"os"
	"syscall"
)

// What a daemon does when it is signalled so.
const (
	sigStop   = syscall.SIGTERM
	sigQuit   = syscall.SIGQUIT
	sigReopen = syscall.SIGUSR1
)

func signal(pidfile string, sig os.Signal) (int, error) {
	r, err := ask(context.Background(), pidfile, sig)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	return r.PID, nil
}

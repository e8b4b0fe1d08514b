//go:build unix

package control

import (
	"context"
	"os"
	"syscall"
)

// What a daemon does when it is signalled so.
const (
	sigUpgrade = syscall.SIGHUP
	sigStop    = syscall.SIGTERM
	sigQuit    = syscall.SIGQUIT
	sigReopen  = syscall.SIGUSR1

	sigRollback = syscall.SIGUSR2 // ignored where there is nothing to roll back
)

func signal(pidfile string, sig os.Signal) (int, error) {
	r, err := ask(context.Background(), pidfile, sig)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	return r.PID, nil
}

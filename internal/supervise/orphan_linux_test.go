package supervise_test

import (
	"os"
	"syscall"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/supervise"
)

// The service's user can have started very many processes: a signal does not wait until each has been looked at.
func TestSignalEndsALook(t *testing.T) {
	const nobodys = 1<<31 - 2 // no process is this user's
	signals := make(chan os.Signal, 1)
	if supervise.AwaitsSuccessor(nobodys, signals) {
		t.Error("a process is taken for the successor that is another user's")
	}
	signals <- syscall.SIGTERM
	if !supervise.AwaitsSuccessor(nobodys, signals) {
		t.Error("all processes are looked at, and a signal waits")
	}
}

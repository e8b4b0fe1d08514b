package socket_test

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
)

func TestAbstractName(t *testing.T) {
	name := fmt.Sprintf("@gozd-test-%d", os.Getpid())
	ln := listen(t, "unix", name, own)
	checkServes(t, ln)
	if _, err := socket.Listen("unix", name, own); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("the second Listen: %v, want EADDRINUSE", err)
	}
	if _, err := os.Lstat(name); err == nil {
		t.Error("there is a file of that name")
	}
	ln.Close()
	listen(t, "unix", name, own)
}

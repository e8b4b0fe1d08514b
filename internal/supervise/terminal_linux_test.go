package supervise

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// Clients that have taken all descriptors do not make a terminal look closed.
func TestTerminalWithoutDescriptors(t *testing.T) {
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Setrlimit(unix.RLIMIT_NOFILE, &before) }()
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 80, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	for {
		f, err := os.Open(os.DevNull)
		if err != nil {
			break
		}
		defer f.Close()
	}
	if !HasTerminal() {
		t.Error("without a descriptor the terminal counts as closed")
	}
}

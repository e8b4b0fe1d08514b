package supervise_test

import (
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fdpass"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/supervise"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// A descriptor that nobody expects is not taken: closing it may block for ever, and the end of the process with it.
func TestUnexpectedDescriptors(t *testing.T) {
	for _, test := range []struct{ room, sent, got int }{{0, 0, 0}, {0, 1, 0}, {0, 253, 0}, {4, 2, 2}, {4, 9, 4}} {
		theirs, ours, err := fdpass.Pair(syscall.SOCK_SEQPACKET, "channel")
		must(t, err)
		in, err := fdpass.Number(ours)
		must(t, err)
		must(t, unix.SetsockoptInt(in, unix.SOL_SOCKET, unix.SO_PASSCRED, 1))
		out, err := fdpass.Number(theirs)
		must(t, err)
		fds := make([]int, test.sent)
		for i := range fds {
			fds[i] = out
		}
		var rights []byte
		if test.sent > 0 {
			rights = unix.UnixRights(fds...)
		}
		must(t, unix.Sendmsg(out, []byte("x"), rights, nil, 0))
		if got, err := supervise.Receive(ours, test.room); err != nil || got != test.got {
			t.Errorf("of %d descriptors %d are taken, %v, want %d", test.sent, got, err, test.got)
		}
		must(t, theirs.Close())
		must(t, ours.Close())
	}
}

// The channel takes descriptors only where there is a systemd to keep them: the kernel refuses them, where it can, and the supervisor else.
func TestNothingIsKeptWithoutSystemd(t *testing.T) {
	f := start(t, "liar", "NOTIFY_SOCKET=")
	if got := f.line("kept: "); require.KernelRefuses() {
		if !strings.Contains(got, "there is no systemd") {
			t.Errorf("a generation that keeps a socket gets %q", got)
		}
	} else {
		f.logs("sockets not kept: there is no systemd")
	}
	must(t, f.cmd.Process.Signal(syscall.SIGTERM))
	f.line("generation 1 stops")
}

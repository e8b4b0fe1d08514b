package supervise_test

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

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

// The channel takes descriptors only where there is a systemd to keep them, and the configuration wants that: the kernel refuses them, where
// it can, and the supervisor else. Systemd gets none.
func TestNothingIsKept(t *testing.T) {
	for name, env := range map[string][]string{
		"without systemd": {"NOTIFY_SOCKET="},
		"without fdstore": {"NOTIFY_SOCKET=" + filepath.Join(t.TempDir(), "systemd"), keepsEnv + "=no"},
	} {
		f := start(t, "liar", env...)
		if got := f.line("kept: "); require.KernelRefuses() {
			if !strings.Contains(got, "there is no systemd to keep them, or fdstore was not") {
				t.Errorf("%s: a generation that keeps a socket gets %q", name, got)
			}
		} else {
			f.logs("sockets not kept: ")
		}
		must(t, f.cmd.Process.Signal(syscall.SIGTERM))
		f.line("generation 1 stops")
	}
}

// A socket that does not get to systemd is named in the log.
func TestSocketIsNotKept(t *testing.T) {
	f := start(t, "liar", "NOTIFY_SOCKET="+filepath.Join(t.TempDir(), "nobody"))
	f.logs("socket not kept")
	must(t, f.cmd.Process.Signal(syscall.SIGTERM))
	f.line("generation 1 stops")
}

// fret has the supervisor say more to systemd than fits into its socket.
func fret(c *supervise.Client) error {
	err := c.Notify(signed(supervise.Serving, 1))
	for range 200 {
		failed := signed(supervise.Failed, 1)
		failed.Text = "no"
		err = errors.Join(err, c.Notify(signed(supervise.Upgrading, 1)), c.Notify(failed))
	}
	fmt.Println("has fretted")
	return err
}

// A systemd that reads nothing, since something holds it up, does not keep a signal from the daemon.
func TestSystemdThatDoesNotRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "systemd")
	systemd, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	must(t, err)
	defer func() { must(t, systemd.Close()) }()
	f := start(t, "restless", "NOTIFY_SOCKET="+path)
	f.line("has fretted")
	began := time.Now()
	must(t, f.cmd.Process.Signal(syscall.SIGTERM))
	f.line("generation 1 stops")
	if took := time.Since(began); took > 2*time.Second { // as in the test of a flood
		t.Errorf("the stop has been passed on after %v", took)
	}
	if err := f.cmd.Wait(); err != nil {
		t.Errorf("the supervisor has ended with %v", err)
	}
}

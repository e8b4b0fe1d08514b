package supervise_test

import (
	"errors"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/supervise"
)

// settle serves, and says a moment later that everybody can know.
func settle(c *supervise.Client) error {
	serving := signed(supervise.Serving, 1)
	serving.Settles = true
	return errors.Join(c.Notify(serving), c.Notify(signed(supervise.Settled, 1)))
}

// systemd takes a start, or a reload, for done when the files name the generation that serves, and not before.
func TestReadyWhenSettled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "systemd")
	systemd, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	must(t, err)
	defer func() { must(t, systemd.Close()) }()
	f := start(t, "settler", "NOTIFY_SOCKET="+path)
	buf := make([]byte, 64<<10)
	for serves := false; ; {
		must(t, systemd.SetReadDeadline(time.Now().Add(limit)))
		n, err := systemd.Read(buf)
		must(t, err)
		said := string(buf[:n])
		if strings.Contains(said, "READY=1") {
			if !serves {
				t.Errorf("systemd hears %q with the first word that generation 1 serves", said)
			}
			break
		}
		serves = serves || strings.Contains(said, "generation 1 serving")
	}
	must(t, f.cmd.Process.Signal(syscall.SIGTERM))
	f.line("generation 1 stops")
}

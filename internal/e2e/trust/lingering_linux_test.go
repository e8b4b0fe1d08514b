package trust

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// TestLingeringOnTheChannel has the service's user send on the channel what nobody can close for an hour.
func TestLingeringOnTheChannel(t *testing.T) {
	t.Parallel()
	s := newService(t, asNobody, onlyWeb)
	s.start(t)
	s.upgrade(t)
	_, said := attack(t, nobody, []*os.File{channelOf(t, s.state().PID)}, "speak", "-with", "linger", "x", "x")
	wantSent(t, said)
	s.wantUnharmed(t)
	s.wantTERM(t)
}

// TestLingeringStranger has a third user send the same to a Unix socket of the service's.
func TestLingeringStranger(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"http", "tcp"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s := newService(t, asNobody, onlyWeb+"[side]\nmode "+mode+"\nlisten unix:run/side.sock\nsocket_mode 0666\n")
			s.start(t)
			s.upgrade(t)
			must(t, os.Chmod(s.run, 0o755))
			_, said := attack(t, stranger, nil, "connect", filepath.Join(s.run, "side.sock"), "GET / HTTP/1.1\r\n")
			wantSent(t, said)
			s.upgrade(t)
			s.wantUnharmed(t)
			s.wantTERM(t)
		})
	}
}

// wantSent checks what became of messages with descriptors. An older kernel takes them all.
func wantSent(t *testing.T, said string) {
	t.Helper()
	eperm, sent := strings.Count(said, "operation not permitted"), strings.Count(said, "<nil>")
	if eperm+sent == 0 || eperm > 0 && sent > 0 || sent > 0 && require.KernelRefuses() {
		t.Errorf("descriptors are sent, and the kernel says %q", said)
	}
}

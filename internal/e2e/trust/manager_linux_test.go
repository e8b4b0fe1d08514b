package trust

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// manager hears what a supervisor says to systemd.
type manager struct {
	path string
	conn *net.UnixConn
	read chan struct{}

	mu       sync.Mutex
	messages []string
}

// listenAsManager makes a notify socket of root's, as systemd has one.
func listenAsManager(t *testing.T) *manager {
	t.Helper()
	m := &manager{path: filepath.Join(openDir(t), "notify"), read: make(chan struct{})}
	var err error
	m.conn, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.path, Net: "unixgram"})
	must(t, err)
	go m.listen()
	t.Cleanup(func() { _ = m.conn.Close(); <-m.read })
	return m
}

func (m *manager) listen() {
	defer close(m.read)
	buf, oob := make([]byte, 1<<17), make([]byte, unix.CmsgSpace(4*253))
	for {
		n, oobn, _, _, err := m.conn.ReadMsgUnix(buf, oob)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		closeRights(oob[:oobn])
		m.mu.Lock()
		m.messages = append(m.messages, string(buf[:n]))
		m.mu.Unlock()
	}
}

func closeRights(oob []byte) {
	controls, _ := unix.ParseSocketControlMessage(oob) // there are none in most messages
	for i := range controls {
		fds, _ := unix.ParseUnixRights(&controls[i])
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
	}
}

// heard is all that has been said.
func (m *manager) heard() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.messages...)
}

// await waits until something has been said.
func (m *manager) await(t *testing.T, text string) {
	t.Helper()
	await(t, "told "+text, func() bool { return strings.Contains(strings.Join(m.heard(), "\n"), text) })
}

// allowed are the lines that a supervisor has reason to say. A value is one line of printable text.
var allowed = regexp.MustCompile(`^(READY=1|RELOADING=1|STOPPING=1|WATCHDOG=1|WATCHDOG=trigger|FDSTORE=1|FDSTOREREMOVE=1|FDNAME=[!-9;-~]{1,255}|` +
	`(MONOTONIC_USEC|EXTEND_TIMEOUT_USEC|ERRNO)=[0-9]{1,19}|(STATUS|BUSERROR|X_[A-Z_]+)=[^\x00-\x1f\x7f-\x9f]*)$`)

// maxMessage is what systemd reads of a message (NOTIFY_BUFFER_MAX).
const maxMessage = 4096

// wantClean checks that nothing but what a supervisor has reason to say has been said.
func (m *manager) wantClean(t *testing.T) {
	t.Helper()
	for _, message := range m.heard() {
		if len(message) > maxMessage {
			t.Errorf("systemd was told %d bytes at once", len(message))
		}
		for line := range strings.SplitSeq(strings.TrimSuffix(message, "\n"), "\n") {
			if !allowed.MatchString(line) || strings.ToValidUTF8(line, "") != line {
				t.Errorf("systemd was told %.200q", line)
			}
		}
	}
}

// notifySocket is that of the generations.
func notifySocket(t *testing.T, s *service) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("/proc", itoa(s.state().PID), "environ"))
	must(t, err)
	for v := range strings.SplitSeq(string(data), "\x00") {
		if path, ok := strings.CutPrefix(v, "NOTIFY_SOCKET="); ok {
			return path
		}
	}
	t.Fatal("the generation has no NOTIFY_SOCKET")
	return ""
}

// newWatched prepares a daemon whose supervisor speaks to m.
func newWatched(t *testing.T, m *manager, options, groups string) *service {
	t.Helper()
	s := newService(t, options, groups)
	s.env = append(s.env, "NOTIFY_SOCKET="+m.path)
	return s
}

// settle is how long an attack goes on before the service manager wants something.
const settle = 300 * time.Millisecond

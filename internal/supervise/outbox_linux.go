package supervise

import (
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fdpass"
)

const (
	maxOutgoing = 256                    // messages that wait to be sent
	lastSend    = 500 * time.Millisecond // for what is left to be sent in the end
)

// outgoing is a message to systemd.
type outgoing struct {
	text  string
	files []int // that go with it, and are closed then
}

// outbox has what systemd is to get, which another goroutine sends: systemd may not read for a time, and a supervisor that waited for that would
// hear no signal. Where there is no room the oldest goes: the latest says what is so. A nil outbox is valid, and has nobody to send to.
type outbox struct {
	queue chan outgoing
	once  sync.Once
	sent  chan struct{} // closed when all has been

	mu  sync.Mutex   // guards log
	log *slog.Logger // nil once nothing may be logged any more
}

func newOutbox(log *slog.Logger) *outbox {
	o := &outbox{log: log, queue: make(chan outgoing, maxOutgoing), sent: make(chan struct{})}
	go o.deliver()
	return o
}

func (o *outbox) deliver() {
	defer close(o.sent)
	for m := range o.queue {
		if err := m.deliver(); err != nil && len(m.files) > 0 { // of the rest nobody is to be told but systemd
			o.warn(m, err)
		}
		fdpass.Close(m.files)
	}
}

func (o *outbox) warn(m outgoing, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.log != nil {
		o.log.Warn("socket not kept", "message", m.text, "error", err)
	}
}

func (m outgoing) deliver() error {
	if len(m.files) == 0 {
		_, err := daemon.SdNotify(false, m.text)
		return err
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: os.Getenv(notifyEnv), Net: "unixgram"})
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	return write(conn, []byte(m.text), m.files)
}

// send waits for nobody. One goroutine may call it, and not after end.
func (o *outbox) send(m outgoing) {
	if o == nil {
		return
	}
	for {
		select {
		case o.queue <- m:
			return
		default:
		}
		select {
		case oldest := <-o.queue:
			go fdpass.Close(oldest.files) // which may take as long as somebody wants
		default:
		}
	}
}

// end waits for a moment until all has been sent. Nothing is logged after it.
func (o *outbox) end() {
	if o == nil {
		return
	}
	o.once.Do(func() { close(o.queue) })
	select {
	case <-o.sent:
	case <-time.After(lastSend):
	}
	o.mu.Lock()
	o.log = nil
	o.mu.Unlock()
}

package supervise

import (
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
}

func newOutbox() *outbox {
	o := &outbox{queue: make(chan outgoing, maxOutgoing), sent: make(chan struct{})}
	go o.deliver()
	return o
}

func (o *outbox) deliver() {
	defer close(o.sent)
	for m := range o.queue {
		_ = m.deliver() // there is nobody to be told of an error but systemd
		fdpass.Close(m.files)
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

// end waits for a moment until all has been sent, each time that it is called.
func (o *outbox) end() {
	if o == nil {
		return
	}
	o.once.Do(func() { close(o.queue) })
	select {
	case <-o.sent:
	case <-time.After(lastSend):
	}
}

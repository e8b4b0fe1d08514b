//go:build unix

package handover

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fdpass"
)

// channel is one end of the socket pair. Frames are written by any goroutine,
// and read by one.
type channel struct {
	conn     *net.UnixConn
	writing  sync.Mutex
	stopping atomic.Bool // interrupt was called
	until    time.Time   // a frame that is begun may take that long; set before stopping
}

// Pair makes the two ends of a channel, one for this process and one to be passed
// to the successor. Both are closed on exec.
func Pair() (ours, theirs *os.File, err error) {
	return fdpass.Pair(syscall.SOCK_STREAM, "handover")
}

// open takes over f.
func open(f *os.File) (*channel, error) {
	defer func() { _ = f.Close() }() // net.FileConn duplicates it
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("handover: %w", err)
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		_ = c.Close()
		return nil, fmt.Errorf("handover: the channel is a %T, not a Unix socket", c)
	}
	return &channel{conn: u}, nil
}

func (c *channel) close() { _ = c.conn.Close() }

// write sends a frame without a descriptor.
func (c *channel) write(f frame) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	_, err := c.conn.Write(f.append(nil))
	return err
}

// writeWith sends a frame with the descriptor of conn. That is held for an instant at a time, and not while the
// other side is awaited, or its Close would wait too. After a Close the frame is not sent, and err says so;
// writeErr is the channel's.
func (c *channel) writeWith(f frame, conn syscall.RawConn) (writeErr, err error) {
	raw, err := c.conn.SyscallConn()
	if err != nil {
		return err, nil
	}
	data := f.append(make([]byte, 0, headerLen+len(f.payload)))
	defer clear(data) // it may have secrets in it
	c.writing.Lock()
	defer c.writing.Unlock()
	var n int
	waitErr := raw.Write(func(to uintptr) (done bool) {
		err = conn.Control(func(fd uintptr) { n, writeErr = sendWith(int(to), data, int(fd)) })
		return err != nil || !errors.Is(writeErr, syscall.EAGAIN)
	})
	if err == nil && waitErr != nil {
		writeErr = waitErr
	}
	if err != nil || writeErr != nil || n == len(data) {
		return writeErr, err
	}
	// The descriptor has left with the first byte. The rest may need several
	// writes when the other side is slow.
	_, writeErr = c.conn.Write(data[n:])
	return writeErr, nil
}

// sendWith sends what there is room for, and fd with it; or EAGAIN, and nothing.
func sendWith(to int, data []byte, fd int) (n int, err error) {
	for {
		n, err = syscall.SendmsgN(to, data, syscall.UnixRights(fd), nil, 0)
		if !errors.Is(err, syscall.EINTR) {
			return n, err
		}
	}
}

// read returns the next frame and the descriptor that came with it, or -1. lost
// reports that a descriptor was sent and this process could not take it: it has
// no more room for open files. After interrupt the error is
// os.ErrDeadlineExceeded, and nothing of a frame has been read.
func (c *channel) read() (f frame, fd int, lost bool, err error) {
	var header [headerLen]byte
	oob := make([]byte, syscall.CmsgSpace(4))
	if c.stopping.Load() {
		return frame{}, -1, false, os.ErrDeadlineExceeded
	}
	n, oobn, flags, _, err := c.conn.ReadMsgUnix(header[:], oob)
	if err == nil && n == 0 {
		err = io.EOF
	}
	if err != nil {
		return frame{}, -1, false, err
	}
	fd = received(oob[:oobn])
	lost = flags&syscall.MSG_CTRUNC != 0
	f, err = c.readRest(header, n)
	if err != nil {
		closeFD(fd)
		return frame{}, -1, false, err
	}
	return f, fd, lost, nil
}

// readRest reads what is still missing of a frame of which n bytes are there.
func (c *channel) readRest(header [headerLen]byte, n int) (frame, error) {
	if err := c.readFull(header[n:]); err != nil {
		return frame{}, err
	}
	f, size, err := parseHeader(header)
	if err != nil {
		return frame{}, err
	}
	f.payload = make([]byte, size)
	return f, c.readFull(f.payload)
}

// errHalf is for a frame whose rest does not come.
var errHalf = errors.New("handover: the rest of a frame is missing")

// readFull fills b, also after interrupt: a frame that is begun is read whole, if its rest comes soon.
func (c *channel) readFull(b []byte) error {
	for len(b) > 0 {
		n, err := c.conn.Read(b)
		b = b[n:]
		if errors.Is(err, os.ErrDeadlineExceeded) && c.stopping.Load() {
			err = c.awaitRest()
		}
		if isEnd(err) {
			err = io.ErrUnexpectedEOF // an end is between two frames
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// isEnd reports whether nobody has the other side any more. Linux calls it a reset where frames were left
// unread (unix_release_sock in net/unix/af_unix.c), and gives out what had been answered before it (unix_stream_read_generic).
func isEnd(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) }

func (c *channel) awaitRest() error {
	if !time.Now().Before(c.until) {
		return errHalf
	}
	return c.conn.SetReadDeadline(c.until)
}

// received returns the descriptor in a control message, or -1: one a frame, anything else is not ours.
func received(oob []byte) int {
	_, fds, err := fdpass.Parse(oob)
	if err != nil || len(fds) == 0 {
		return -1
	}
	fdpass.Close(fds[1:])
	return fds[0]
}

func closeFD(fd int) {
	if fd >= 0 {
		_ = syscall.Close(fd)
	}
}

// restWait is how long a frame may take that is begun when its channel is passed on. Whoever writes one does so at
// once, but can be stopped in between. Tests change it.
var restWait = 5 * time.Second

// interrupt has read return between two frames, at once and from then on.
func (c *channel) interrupt() {
	c.until = time.Now().Add(restWait)
	c.stopping.Store(true)
	_ = c.conn.SetReadDeadline(time.Unix(1, 0))
}

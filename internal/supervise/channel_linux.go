package supervise

import (
	"errors"
	"fmt"
	"math"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/allowance"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fdpass"
)

// newChannel returns the supervisor's end, and the one that all generations share.
func newChannel() (ours, theirs *os.File, err error) {
	// Of the kinds of sockets only this one keeps messages apart and has an end.
	ours, theirs, err = fdpass.Pair(unix.SOCK_SEQPACKET, "supervise: channel")
	if err != nil {
		return nil, nil, err
	}
	fd, err := fdpass.Number(ours)
	if err == nil {
		err = os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1))
	}
	if err != nil {
		_, _ = ours.Close(), theirs.Close()
		return nil, nil, fmt.Errorf("supervise: channel: %w", err)
	}
	return ours, theirs, nil
}

// refuse has the kernel refuse descriptors where nobody wants any, if it can.
func refuse(channel *os.File) error {
	fd, err := fdpass.Number(channel)
	if err != nil {
		return fmt.Errorf("supervise: channel: %w", err)
	}
	fdpass.Refuse(fd)
	return nil
}

// message is what has been read. It is valid until it has been handled.
type message struct {
	data  []byte
	size  int   // as it was sent; data has not more than there is room for
	pid   int   // of the sender, as the kernel has it; 0 if it does not say
	files []int // descriptors that came along
}

// inbox reads messages whose sender the kernel names, in a goroutine of its own. The service's user has the other
// end, and can have that goroutine wait for as long as he wants: a TCP connection with SO_LINGER, sent along, blocks
// close(2), and recvmsg(2) too where there is no room for its descriptor. So nobody else reads or closes.
//
// A file of a FUSE file system is worse: close(2) of it can block for ever, and so can the end of a process that has it, which
// no signal ends then. recvmsg without room drops it, which closes it too, but mostly not like that. So there is no room where no descriptor is
// expected.
type inbox struct {
	file     *os.File
	raw      syscall.RawConn
	messages chan message  // closed at the end of the socket
	handled  chan struct{} // has a value for each message
	busy     atomic.Bool   // a message may have been read that has not been handled
	idle     chan struct{} // has a value when busy has become false without a message

	over    bool // the loop knows that nothing will ever come again
	stalled bool // the reader has not come forward in the time that hear had
}

// newInbox reads messages of at most size bytes, with about room descriptors, or none if it is 0.
func newInbox(f *os.File, size, room int, done <-chan struct{}) (*inbox, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	b := &inbox{file: f, raw: raw, messages: make(chan message), handled: make(chan struct{}), idle: make(chan struct{}, 1)}
	go b.read(size, room, done)
	return b, nil
}

// read gives one message after the other to the loop.
func (b *inbox) read(size, room int, done <-chan struct{}) {
	defer close(b.messages)
	buf := make([]byte, size)
	oob := make([]byte, unix.CmsgSpace(unix.SizeofUcred), unix.CmsgSpace(unix.SizeofUcred)+unix.CmsgSpace(4*room))
	if room > 0 {
		oob = oob[:cap(oob)]
	}
	for {
		m, err := b.next(buf, oob)
		if err != nil {
			return
		}
		select {
		case b.messages <- m:
		case <-done:
			return
		}
		select {
		case <-b.handled:
		case <-done:
			return
		}
		b.busy.Store(false)
		fdpass.Close(m.files) // a sender of systemd's BARRIER=1 waits for that
	}
}

// next waits for a message. The error is that of the socket, or its end.
func (b *inbox) next(buf, oob []byte) (m message, err error) {
	var n, oobn int
	readErr := b.raw.Read(func(fd uintptr) bool {
		b.busy.Store(true) // before the socket can be found empty
		for {
			n, oobn, _, _, err = unix.Recvmsg(int(fd), buf, oob, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC|unix.MSG_TRUNC)
			if !errors.Is(err, unix.EINTR) {
				break
			}
		}
		if errors.Is(err, unix.EAGAIN) {
			b.busy.Store(false)
			select {
			case b.idle <- struct{}{}:
			default: // it has one
			}
			return false
		}
		return true
	})
	switch {
	case readErr != nil:
		return message{}, readErr
	case err != nil:
		return message{}, os.NewSyscallError("recvmsg", err)
	case n == 0 && oobn == 0: // an empty message has credentials
		return message{}, os.ErrClosed
	}
	m.data, m.size = buf[:min(n, len(buf))], n
	m.pid, m.files, _ = fdpass.Parse(oob[:oobn]) // without a PID nobody is believed
	return m, nil
}

// pending reports whether something has been sent that the loop has not got. The order of the two looks matters: what the
// reader has taken from the socket since the first one, busy tells.
func (b *inbox) pending() bool {
	waits, busy := b.look()
	return waits > 0 || busy
}

// look returns how many bytes wait in the socket, at least 1 where there is any message, and whether the reader may have one more.
func (b *inbox) look() (waits int, busy bool) {
	if b.over {
		return 0, false
	}
	_ = b.raw.Control(func(fd uintptr) { // it fails for a closed one
		if any, _ := readable(int(fd)); !any {
			return
		}
		n, err := unix.IoctlGetInt(int(fd), unix.SIOCINQ)
		if waits = max(n, 1); err != nil {
			waits = math.MaxInt
		}
	})
	return waits, b.busy.Load()
}

// drain gives handle all that has been sent until now, for which the reader may use up the allowance. It may be blocked, see inbox:
// one that has not come forward is not waited for again before it has. What is sent meanwhile is not waited for: there may be
// more all the time. It returns early with a signal that comes.
func (b *inbox) drain(a *allowance.Allowance, signals <-chan os.Signal, handle func(message, bool)) os.Signal {
	a.IsOver()
	a.Extend(hearStep)
	steps := time.NewTicker(hearStep)
	defer steps.Stop()
	left, busy := b.look()
	for brought := 0; !b.stalled && (left > 0 || busy); {
		if !b.pending() {
			return nil
		}
		if a.IsOver() {
			b.stalled = brought == 0
			return nil
		}
		select {
		case m, ok := <-b.messages:
			if !busy { // else it may be the one that was not in the socket
				left -= m.size
			}
			busy = false
			handle(m, ok)
			brought++
		case <-b.idle: // look again
		case sig := <-signals:
			return sig
		case <-steps.C:
		}
	}
	return nil
}

// take does what is to be done with a message, or takes note of the socket's end.
func (b *inbox) take(m message, ok bool, understand func(message)) {
	if !ok {
		b.over, b.messages = true, nil
		return
	}
	b.stalled = false
	understand(m)
	b.handled <- struct{}{}
}

// readable looks without waiting.
func readable(fd int) (bool, error) {
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(p, 0)
	if errors.Is(err, unix.EINTR) {
		return false, nil
	}
	return n > 0, err
}

package supervise

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// newChannel returns the supervisor's end, and the one that all generations share.
func newChannel() (ours, theirs *os.File, err error) {
	// Of the kinds of sockets only this one keeps messages apart and has an end.
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("supervise: channel: %w", os.NewSyscallError("socketpair", err))
	}
	if err := unix.SetsockoptInt(fds[0], unix.SOL_SOCKET, unix.SO_PASSCRED, 1); err != nil {
		_, _ = unix.Close(fds[0]), unix.Close(fds[1])
		return nil, nil, fmt.Errorf("supervise: channel: %w", os.NewSyscallError("setsockopt", err))
	}
	return os.NewFile(uintptr(fds[0]), "supervisor"), os.NewFile(uintptr(fds[1]), "generations"), nil
}

// maxRights is how many descriptors the kernel lets into one message (SCM_MAX_FD).
const maxRights = 253

// inbox reads datagrams whose sender the kernel names. Not safe for concurrent use, but for wait.
type inbox struct {
	file *os.File
	raw  interface {
		Read(func(fd uintptr) bool) error
		Control(func(fd uintptr)) error
	}
	buf, oob []byte
	emptied  chan struct{} // after wait: what was there has been read
	over     bool          // nothing will ever come again
}

func newInbox(f *os.File, size int) (*inbox, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	// systemd's clients may pass descriptors with a message; see next.
	return &inbox{
		file:    f,
		raw:     raw,
		buf:     make([]byte, size),
		oob:     make([]byte, unix.CmsgSpace(unix.SizeofUcred)+unix.CmsgSpace(4*maxRights)),
		emptied: make(chan struct{}),
	}, nil
}

// errEmpty means that there is nothing to read now.
var errEmpty = errors.New("nothing to read")

// next returns the next message and the PID of its sender, or errEmpty. The data is valid until the
// next call. Descriptors that come along are closed: that is also what
// a sender waits for that has sent systemd's BARRIER=1.
func (b *inbox) next() (data []byte, pid int, err error) {
	var n, oobn int
	ctlErr := b.raw.Control(func(fd uintptr) {
		n, oobn, _, _, err = unix.Recvmsg(int(fd), b.buf, b.oob, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
	})
	switch {
	case ctlErr != nil:
		return nil, 0, ctlErr
	case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
		return nil, 0, errEmpty
	case err != nil:
		return nil, 0, os.NewSyscallError("recvmsg", err)
	}
	return b.buf[:n], senderOf(b.oob[:oobn]), nil
}

// senderOf returns the PID in the credentials, 0 without, and closes descriptors.
func senderOf(oob []byte) (pid int) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return 0
	}
	for i := range messages {
		if cred, err := unix.ParseUnixCredentials(&messages[i]); err == nil {
			pid = int(cred.Pid)
			continue
		}
		fds, _ := unix.ParseUnixRights(&messages[i])
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
	}
	return pid
}

// wait returns when there is something to read, or the file is closed: then it is an error.
func (b *inbox) wait() error {
	var err error
	readErr := b.raw.Read(func(fd uintptr) bool {
		var ready bool
		ready, err = readable(int(fd))
		return ready || err != nil
	})
	return errors.Join(readErr, err)
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

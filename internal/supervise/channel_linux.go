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

// message is what has been read. Its data is valid until the next is read.
type message struct {
	data  []byte
	pid   int   // of the sender; 0 if the kernel does not say
	files []int // descriptors that came along
}

// close closes the descriptors. That is also what a sender waits for that has sent systemd's BARRIER=1.
func (m *message) close() {
	for _, fd := range m.files {
		_ = unix.Close(fd)
	}
}

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
	return &inbox{
		file:    f,
		raw:     raw,
		buf:     make([]byte, size),
		oob:     make([]byte, unix.CmsgSpace(unix.SizeofUcred)+unix.CmsgSpace(4*maxKept)),
		emptied: make(chan struct{}),
	}, nil
}

// errEmpty means that there is nothing to read now.
var errEmpty = errors.New("nothing to read")

// next returns the next message, which is to be closed, or errEmpty.
func (b *inbox) next() (m message, err error) {
	var n, oobn int
	ctlErr := b.raw.Control(func(fd uintptr) {
		n, oobn, _, _, err = unix.Recvmsg(int(fd), b.buf, b.oob, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
	})
	switch {
	case ctlErr != nil:
		return message{}, ctlErr
	case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
		return message{}, errEmpty
	case err != nil:
		return message{}, os.NewSyscallError("recvmsg", err)
	}
	m.data = b.buf[:n]
	m.pid, m.files = unpack(b.oob[:oobn])
	return m, nil
}

// unpack returns the PID in the credentials, 0 without, and descriptors.
func unpack(oob []byte) (pid int, files []int) {
	controls, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return 0, nil
	}
	for i := range controls {
		if cred, err := unix.ParseUnixCredentials(&controls[i]); err == nil {
			pid = int(cred.Pid)
			continue
		}
		fds, _ := unix.ParseUnixRights(&controls[i]) // of another kind there are none
		files = append(files, fds...)
	}
	return pid, files
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

//go:build unix

package upgrade

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// mailbox carries one message from a generation to the next: the manifest and,
// by SCM_RIGHTS, listening sockets and other files. It is one datagram socket pair for the whole life of the
// daemon, inherited by every generation. tableflip can pass files too, but it
// closes its duplicate of one neither while its upgrade is not over nor after a failed
// one, and the end of a pipe would not be seen; with the mailbox all that
// tableflip ever passes stays the same.
type mailbox struct {
	files [2]*os.File // post and fetch, before they are connections

	connecting sync.Mutex    // held by connect
	post       *net.UnixConn // the serving generation writes here
	fetch      *net.UnixConn // its successor reads here
}

const (
	// mailboxSize bounds a message. 64 KiB are several hundred groups.
	mailboxSize = 64 << 10
	// mailboxFiles bounds the files that go with one datagram; Linux allows 253 (SCM_MAX_FD).
	mailboxFiles = 200
	// mailboxWait is how long a new generation waits for its message, which is
	// written while it starts: it is there, or will be in an instant, or never.
	mailboxWait = 5 * time.Second
)

// newMailbox makes the pair for a first generation.
func newMailbox() (post, fetch *os.File, err error) {
	fds, err := socketPair(unix.SOCK_DGRAM)
	if err != nil {
		return nil, nil, err
	}
	for _, fd := range fds {
		_ = unix.SetNonblock(fd, true) // or reading would not end at a deadline
	}
	return os.NewFile(uintptr(fds[0]), "mailbox"), os.NewFile(uintptr(fds[1]), "mailbox"), nil
}

// socketPair makes a pair of one kind, both ends closed on exec.
func socketPair(kind int) ([2]int, error) {
	// SOCK_CLOEXEC and SOCK_NONBLOCK do not exist on macOS.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fds, err := unix.Socketpair(unix.AF_UNIX, kind, 0)
	if err != nil {
		return fds, fmt.Errorf("upgrade: socketpair: %w", err)
	}
	unix.CloseOnExec(fds[0])
	unix.CloseOnExec(fds[1])
	return fds, nil
}

// openMailbox makes a mailbox of the two files, which it takes over.
func openMailbox(post, fetch *os.File) *mailbox { return &mailbox{files: [2]*os.File{post, fetch}} }

// connect has the mailbox ready for sending. A new generation, which only wants to read, and at once, need not
// wait for that: it takes a tenth of a millisecond. Where it fails, because there are no descriptors, it can be tried again.
func (m *mailbox) connect() error {
	m.connecting.Lock()
	defer m.connecting.Unlock()
	if m.fetch != nil {
		return nil
	}
	post, err := unixConn(m.files[0])
	if err != nil {
		return err
	}
	fetch, err := unixConn(m.files[1])
	if err != nil {
		_ = post.Close()
		return err
	}
	_, _ = m.files[0].Close(), m.files[1].Close()
	// macOS gives a datagram pair 2 KiB. Where the size is refused, a message
	// that does not fit fails the upgrade with the system's own error.
	_ = post.SetWriteBuffer(mailboxSize)
	_ = fetch.SetReadBuffer(mailboxSize)
	m.post, m.fetch = post, fetch
	return nil
}

func unixConn(f *os.File) (*net.UnixConn, error) {
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("upgrade: mailbox: %w", err)
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		_ = c.Close()
		return nil, fmt.Errorf("upgrade: mailbox is a %T, not a Unix socket", c)
	}
	return u, nil
}

// send puts a message into the mailbox, which must be empty. Files and sockets stay the
// caller's, and nobody may close them meanwhile.
func (m *mailbox) send(manifest Manifest, files map[string]*os.File, sockets map[string]int) error {
	if err := m.connect(); err != nil {
		return err
	}
	all := make([]enclosure, 0, len(files)+len(sockets))
	for name, f := range files {
		fd, err := descriptor(f)
		if err != nil {
			return fmt.Errorf("upgrade: pass %s: %w", name, err)
		}
		all = append(all, enclosure{name, fd})
	}
	for id, fd := range sockets {
		all = append(all, enclosure{socketPrefix + id, fd})
	}
	parts := slices.Collect(slices.Chunk(all, mailboxFiles))
	if len(parts) == 0 {
		parts = append(parts, nil)
	}
	data, err := encodeLetter(manifest, names(parts[0]), len(parts)-1)
	if err != nil {
		return err
	}
	_ = m.post.SetWriteDeadline(time.Now().Add(mailboxWait))
	for i, part := range parts {
		if i > 0 {
			if data, err = json.Marshal(envelope{Files: names(part)}); err != nil {
				return fmt.Errorf("upgrade: encode names: %w", err)
			}
		}
		if err := m.enclose(data, part); err != nil {
			return err
		}
	}
	return nil
}

func (m *mailbox) enclose(data []byte, part []enclosure) error {
	fds := make([]int, len(part))
	for i, e := range part {
		fds[i] = e.fd
	}
	if _, _, err := m.post.WriteMsgUnix(data, unix.UnixRights(fds...), nil); err != nil {
		return fmt.Errorf("upgrade: send manifest of %d bytes: %w", len(data), err)
	}
	return nil
}

// sendNothing puts an empty message into the mailbox: who reads it learns that
// there will be no other.
func (m *mailbox) sendNothing() {
	if m.connect() == nil {
		_, _ = m.post.Write(nil)
	} else {
		_, _ = m.files[0].Write(nil)
	}
}

// descriptor returns f's number without putting it into blocking mode, as
// f.Fd would.
func descriptor(f *os.File) (int, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	fd := -1
	err = raw.Control(func(n uintptr) { fd = int(n) })
	return fd, err
}

// receive reads the message. Files and sockets in it are the caller's to close.
func (m *mailbox) receive() (*letter, error) {
	data, fds, err := m.read(time.Now().Add(mailboxWait))
	if err != nil {
		return nil, fmt.Errorf("upgrade: no manifest from the previous generation: %w", err)
	}
	l, more, err := openLetter(data, fds)
	if err != nil {
		closeAll(fds)
		return nil, err
	}
	for range more {
		if err := m.receiveMore(l); err != nil {
			l.close()
			return nil, err
		}
	}
	return l, nil
}

// receiveMore reads what has not gone into the first datagram.
func (m *mailbox) receiveMore(l *letter) error {
	data, fds, err := m.read(time.Now().Add(mailboxWait))
	if err != nil {
		return fmt.Errorf("upgrade: not all files from the previous generation: %w", err)
	}
	_, names, err := openEnvelope(data, fds)
	if err != nil {
		closeAll(fds)
		return err
	}
	l.take(names, fds)
	return nil
}

// read waits until deadline for one message, and returns it with its
// descriptors, which are closed on exec.
func (m *mailbox) read(deadline time.Time) (data []byte, fds []int, err error) {
	in := m.in()
	raw, err := in.SyscallConn()
	if err != nil {
		return nil, nil, err
	}
	if err := in.SetReadDeadline(deadline); err != nil {
		return nil, nil, err
	}
	waitErr := raw.Read(func(fd uintptr) bool {
		data, fds, err = receiveMessage(int(fd))
		return !errors.Is(err, unix.EAGAIN)
	})
	if waitErr != nil {
		return nil, nil, waitErr
	}
	return data, fds, err
}

// in is the end to read from.
func (m *mailbox) in() interface {
	syscall.Conn
	SetReadDeadline(time.Time) error
} {
	if m.fetch != nil {
		return m.fetch
	}
	return m.files[1]
}

// receiveMessage reads a message without waiting for one, and returns it with its descriptors, which are closed
// on exec.
func receiveMessage(fd int) ([]byte, []int, error) {
	syscall.ForkLock.RLock() // until they are closed on exec, a fork would copy the descriptors
	defer syscall.ForkLock.RUnlock()
	data, err := roomForMessage(fd)
	if err != nil {
		return nil, nil, err
	}
	oob := make([]byte, unix.CmsgSpace(4*mailboxFiles))
	n, oobn, _, _, err := unix.Recvmsg(fd, data, oob, unix.MSG_DONTWAIT)
	if err != nil {
		return nil, nil, err
	}
	fds, err := rights(oob[:oobn])
	return data[:n], fds, err
}

// roomForMessage returns a buffer for the message that can be read next. Most take a page, and the first 64 KiB of a process cost
// it a twentieth of a millisecond.
func roomForMessage(fd int) ([]byte, error) {
	const most = 4 << 10
	data := make([]byte, most)
	_, _, flags, _, err := unix.Recvmsg(fd, data, nil, unix.MSG_DONTWAIT|unix.MSG_PEEK)
	if err == nil && flags&unix.MSG_TRUNC != 0 {
		data = make([]byte, mailboxSize)
	}
	return data, err
}

func rights(oob []byte) ([]int, error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	var all []int
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			closeAll(all)
			return nil, err
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
		}
		all = append(all, fds...)
	}
	return all, nil
}

// empty throws away what nobody read: a successor that died early leaves its
// message, and the descriptors in it, in the socket.
func (m *mailbox) empty() {
	if m.connect() != nil {
		return
	}
	raw, err := m.fetch.SyscallConn()
	if err != nil {
		return
	}
	_ = m.fetch.SetReadDeadline(time.Time{})
	_ = raw.Read(func(fd uintptr) bool {
		for discardMessage(int(fd)) {
		}
		return true // never wait for more
	})
}

// discardMessage reads a message without waiting for one, closes the
// descriptors in it, and reports whether there was one.
func discardMessage(fd int) bool {
	syscall.ForkLock.RLock() // until closed, a fork would copy the descriptors
	defer syscall.ForkLock.RUnlock()
	// The rest of a datagram that does not fit is gone with it.
	data, oob := make([]byte, 1), make([]byte, unix.CmsgSpace(4*mailboxFiles))
	_, oobn, _, _, err := unix.Recvmsg(fd, data, oob, unix.MSG_DONTWAIT)
	if err != nil {
		return false
	}
	fds, _ := rights(oob[:oobn])
	closeAll(fds)
	return true
}

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}

func (m *mailbox) close() {
	if m.connect() == nil {
		_ = m.post.Close()
		_ = m.fetch.Close()
	}
}

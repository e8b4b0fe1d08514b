//go:build unix

package upgrade

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// mailbox carries one message from a generation to the next: the manifest and,
// by SCM_RIGHTS, listening sockets and other files. It is one datagram socket pair for the whole life of the
// daemon, inherited by every generation. tableflip can pass files too, but it
// closes its duplicate of one neither while its upgrade is not over nor after a failed
// one, and the end of a pipe would not be seen; with the mailbox all that
// tableflip ever passes stays the same.
//
// The message is complete before the successor is started, so neither end ever waits: whatever happens to this process
// from then on, the successor knows all that it must. What a successor that has died has not read is thrown away, and what
// nobody can read any more is closed by the system with the last descriptor of the pair.
type mailbox struct {
	post  *os.File // the serving generation writes here
	fetch *os.File // its successor reads here
}

const (
	// mailboxSize bounds a message. 64 KiB are several hundred groups.
	mailboxSize = 64 << 10
	// mailboxFiles bounds the files that go with one datagram; Linux allows 253 (SCM_MAX_FD).
	mailboxFiles = 200
)

// newMailbox makes the pair for a first generation.
func newMailbox() (post, fetch *os.File, err error) {
	fds, err := socketPair(unix.SOCK_DGRAM)
	if err != nil {
		return nil, nil, err
	}
	// macOS gives a datagram pair 2 KiB. Where the size is refused, a message
	// that does not fit fails the upgrade with the system's own error.
	_ = unix.SetsockoptInt(fds[0], unix.SOL_SOCKET, unix.SO_SNDBUF, mailboxSize)
	_ = unix.SetsockoptInt(fds[1], unix.SOL_SOCKET, unix.SO_RCVBUF, mailboxSize)
	return os.NewFile(uintptr(fds[0]), "mailbox"), os.NewFile(uintptr(fds[1]), "mailbox"), nil
}

// inheritedMailbox makes files of the two descriptors, in whatever order they are: the letter says which end is which.
// A process that has another daemon's environment may have anything there.
func inheritedMailbox(one, other int) (post, fetch *os.File, err error) {
	if hasLetter(one) {
		one, other = other, one
	}
	if !isDatagramSocket(one) || !isDatagramSocket(other) {
		return nil, nil, errors.New("upgrade: the process that started this one is no gozd daemon")
	}
	if !hasLetter(other) {
		return nil, nil, errors.New("upgrade: no manifest from the previous generation")
	}
	unix.CloseOnExec(one)
	unix.CloseOnExec(other)
	return os.NewFile(uintptr(one), "mailbox"), os.NewFile(uintptr(other), "mailbox"), nil
}

func isDatagramSocket(fd int) bool {
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil || kind != unix.SOCK_DGRAM {
		return false
	}
	addr, err := unix.Getsockname(fd)
	_, isUnix := addr.(*unix.SockaddrUnix)
	return err == nil && isUnix
}

// hasLetter reports whether something can be read there.
func hasLetter(fd int) bool {
	_, _, err := unix.Recvfrom(fd, make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
	return err == nil
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

// send puts a message into the mailbox, which must be empty. Files and sockets stay the
// caller's, and nobody may close them meanwhile.
func (m *mailbox) send(manifest Manifest, files map[string]*os.File, sockets map[string]int) error {
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
	post, err := descriptor(m.post)
	if err == nil {
		err = unix.Sendmsg(post, data, unix.UnixRights(fds...), nil, unix.MSG_DONTWAIT)
	}
	if err != nil {
		return fmt.Errorf("upgrade: send manifest of %d bytes: %w", len(data), err)
	}
	return nil
}

// isUnread reports whether nobody has begun to read the message.
func (m *mailbox) isUnread() bool {
	fetch, err := descriptor(m.fetch)
	return err == nil && hasLetter(fetch)
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
	data, fds, err := m.read()
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
	data, fds, err := m.read()
	if err != nil {
		return fmt.Errorf("upgrade: not all files from the previous generation: %w", err)
	}
	env, err := openEnvelope(data, fds)
	if err != nil {
		closeAll(fds)
		return err
	}
	l.take(env.Files, fds)
	return nil
}

// read returns a message with its descriptors, which are closed on exec.
func (m *mailbox) read() (data []byte, fds []int, err error) {
	fetch, err := descriptor(m.fetch)
	if err != nil {
		return nil, nil, err
	}
	return receiveMessage(fetch)
}

// receiveMessage reads a message without waiting for one, and returns it with its descriptors, which are closed
// on exec.
func receiveMessage(fd int) ([]byte, []int, error) {
	syscall.ForkLock.RLock() // until they are closed on exec, a fork would copy the descriptors
	defer syscall.ForkLock.RUnlock()
	data, oob := make([]byte, mailboxSize), make([]byte, unix.CmsgSpace(4*mailboxFiles))
	n, oobn, _, _, err := unix.Recvmsg(fd, data, oob, unix.MSG_DONTWAIT)
	if err != nil {
		return nil, nil, err
	}
	fds, err := rights(oob[:oobn])
	return data[:n], fds, err
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
	fetch, err := descriptor(m.fetch)
	for err == nil && discardMessage(fetch) {
	}
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

//go:build unix

package upgrade

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fdpass"
)

// bootstrapConn carries one message from a generation to the next: the manifest and,
// by SCM_RIGHTS, listening sockets and other files. It is one datagram socket pair for the whole life of the
// daemon, inherited by every generation. tableflip can pass files too, but it
// closes its duplicate of one neither while its upgrade is not over nor after a failed
// one, and the end of a pipe would not be seen; with the bootstrap channel all that
// tableflip ever passes stays the same.
//
// The message is complete before the successor is started, so neither end ever waits: whatever happens to this process
// from then on, the successor knows all that it must. What a successor that has died has not read is thrown away, and what
// nobody can read any more is closed by the system with the last descriptor of the pair.
type bootstrapConn struct {
	sender   *os.File // the serving generation writes here
	receiver *os.File // its successor reads here
}

const (
	// maxMessage bounds a message. 64 KiB are several hundred groups.
	maxMessage = 64 << 10
	// maxMessageFDs bounds the files that go with one datagram; Linux allows 253 (SCM_MAX_FD).
	maxMessageFDs = 200
)

// newBootstrapConn makes the pair for a first generation.
func newBootstrapConn() (sender, receiver *os.File, err error) {
	if sender, receiver, err = fdpass.Pair(unix.SOCK_DGRAM, "bootstrap"); err != nil {
		return nil, nil, fmt.Errorf("upgrade: %w", err)
	}
	// macOS gives a datagram pair 2 KiB. Where the size is refused, a message
	// that does not fit fails the upgrade with the system's own error.
	for f, option := range map[*os.File]int{sender: unix.SO_SNDBUF, receiver: unix.SO_RCVBUF} {
		if fd, err := fdpass.Number(f); err == nil {
			_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, option, maxMessage)
		}
	}
	return sender, receiver, nil
}

// inheritedConn makes files of the two descriptors, in whatever order they are: the bootstrap message says which end is which.
// A process that has another daemon's environment may have anything there.
func inheritedConn(one, other int) (sender, receiver *os.File, err error) {
	if hasMessage(one) {
		one, other = other, one
	}
	if !isDatagramSocket(one) || !isDatagramSocket(other) {
		return nil, nil, errors.New("upgrade: the process that started this one is no gozd daemon")
	}
	if !hasMessage(other) {
		return nil, nil, errors.New("upgrade: no manifest from the previous generation")
	}
	fdpass.CloseOnExec(one)
	fdpass.CloseOnExec(other)
	return os.NewFile(uintptr(one), "bootstrap"), os.NewFile(uintptr(other), "bootstrap"), nil
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

// hasMessage reports whether something can be read there.
func hasMessage(fd int) bool {
	_, _, err := unix.Recvfrom(fd, make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
	return err == nil
}

// send puts a message into the bootstrap channel, which must be empty. Files and sockets stay the
// caller's, and nobody may close them meanwhile.
func (m *bootstrapConn) send(manifest Manifest, files map[string]*os.File, sockets map[string]int) error {
	all := make([]passedFD, 0, len(files)+len(sockets))
	for name, f := range files {
		fd, err := fdpass.Number(f)
		if err != nil {
			return fmt.Errorf("upgrade: pass %s: %w", name, err)
		}
		all = append(all, passedFD{name, fd})
	}
	for id, fd := range sockets {
		all = append(all, passedFD{socketPrefix + id, fd})
	}
	parts := slices.Collect(slices.Chunk(all, maxMessageFDs))
	if len(parts) == 0 {
		parts = append(parts, nil)
	}
	data, err := encodeMessage(manifest, names(parts[0]), len(parts)-1)
	if err != nil {
		return err
	}
	for i, part := range parts {
		if i > 0 {
			if data, err = json.Marshal(header{Files: names(part)}); err != nil {
				return fmt.Errorf("upgrade: encode names: %w", err)
			}
		}
		if err := m.sendPart(data, part); err != nil {
			return err
		}
	}
	return nil
}

func (m *bootstrapConn) sendPart(data []byte, part []passedFD) error {
	fds := make([]int, len(part))
	for i, e := range part {
		fds[i] = e.fd
	}
	sender, err := fdpass.Number(m.sender)
	if err == nil {
		err = fdpass.Send(sender, data, fds)
	}
	if err != nil {
		return fmt.Errorf("upgrade: send manifest of %d bytes: %w", len(data), err)
	}
	return nil
}

// isUnread reports whether nobody has begun to read the message.
func (m *bootstrapConn) isUnread() bool {
	receiver, err := fdpass.Number(m.receiver)
	return err == nil && hasMessage(receiver)
}

// receive reads the message. Files and sockets in it are the caller's to close. Beside an error it has nothing but the report, if that is there: the
// parent is told why the message cannot be used, such as that it is of another version.
func (m *bootstrapConn) receive() (*bootstrapMessage, error) {
	data, fds, err := m.read()
	if err != nil {
		return nil, fmt.Errorf("upgrade: no manifest from the previous generation: %w", err)
	}
	l, more, err := decodeMessage(data, fds)
	if err != nil {
		return onlyReport(data, fds), err
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
func (m *bootstrapConn) receiveMore(l *bootstrapMessage) error {
	data, fds, err := m.read()
	if err != nil {
		return fmt.Errorf("upgrade: not all files from the previous generation: %w", err)
	}
	env, err := decodeHeader(data, fds)
	if err != nil {
		fdpass.Close(fds)
		return err
	}
	l.take(env.Files, fds)
	return nil
}

// read returns a message with its descriptors, which are closed on exec.
func (m *bootstrapConn) read() (data []byte, fds []int, err error) {
	receiver, err := fdpass.Number(m.receiver)
	if err != nil {
		return nil, nil, err
	}
	data = make([]byte, maxMessage)
	n, fds, err := fdpass.Recv(receiver, data, maxMessageFDs)
	return data[:n], fds, err
}

// empty throws away what nobody read: a successor that died early leaves its
// message, and the descriptors in it, in the socket.
func (m *bootstrapConn) empty() {
	receiver, err := fdpass.Number(m.receiver)
	for err == nil && discardMessage(receiver) {
	}
}

// discardMessage throws a message away, and reports whether there was one.
func discardMessage(fd int) bool {
	_, fds, err := fdpass.Recv(fd, make([]byte, 1), maxMessageFDs) // the rest of a datagram that does not fit is gone with it
	fdpass.Close(fds)
	return err == nil
}

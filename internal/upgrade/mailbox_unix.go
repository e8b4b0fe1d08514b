//go:build unix

package upgrade

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// mailbox carries one message from a generation to the next: the manifest and,
// by SCM_RIGHTS, files. It is one datagram socket pair for the whole life of the
// daemon, inherited by every generation. tableflip can pass files too, but it
// closes its duplicate of one neither when it is replaced nor after a failed
// upgrade, and the end of a pipe would not be seen; with the mailbox all that
// tableflip ever passes stays the same.
type mailbox struct {
	post  *net.UnixConn // the serving generation writes here
	fetch *net.UnixConn // its successor reads here
}

const (
	// mailboxSize bounds a message. 64 KiB are several hundred groups.
	mailboxSize = 64 << 10
	// mailboxFiles bounds the files of a message; Linux allows 253 (SCM_MAX_FD).
	mailboxFiles = 16
	// mailboxWait is how long a new generation waits for its message, which
	// was written before it was started: it is there or will never be.
	mailboxWait = 5 * time.Second
)

// newMailbox makes the pair for a first generation.
func newMailbox() (post, fetch *os.File, err error) {
	// SOCK_CLOEXEC and SOCK_NONBLOCK do not exist on macOS.
	syscall.ForkLock.RLock()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	if err == nil {
		unix.CloseOnExec(fds[0])
		unix.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, fmt.Errorf("upgrade: socketpair: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), "mailbox"), os.NewFile(uintptr(fds[1]), "mailbox"), nil
}

// openMailbox makes a mailbox of the two files. It duplicates them; they stay
// the caller's.
func openMailbox(post, fetch *os.File) (*mailbox, error) {
	p, err := unixConn(post)
	if err != nil {
		return nil, err
	}
	f, err := unixConn(fetch)
	if err != nil {
		_ = p.Close()
		return nil, err
	}
	// macOS gives a datagram pair 2 KiB. Where the size is refused, a message
	// that does not fit fails the upgrade with the system's own error.
	_ = p.SetWriteBuffer(mailboxSize)
	_ = f.SetReadBuffer(mailboxSize)
	return &mailbox{post: p, fetch: f}, nil
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

// letter is a message as the successor reads it.
type letter struct {
	manifest Manifest
	files    map[string]*os.File
}

// envelope is what is on the wire: the manifest, and the names of the files in
// the order of their descriptors.
type envelope struct {
	Manifest json.RawMessage `json:"manifest"`
	Files    []string        `json:"files"`
}

// send puts a message into the mailbox, which must be empty. The files stay the
// caller's.
func (m *mailbox) send(manifest Manifest, files map[string]*os.File) error {
	if len(files) > mailboxFiles {
		return fmt.Errorf("upgrade: there are %d files, the mailbox takes %d", len(files), mailboxFiles)
	}
	var names []string
	var fds []int
	for name, f := range files {
		fd, err := descriptor(f)
		if err != nil {
			return fmt.Errorf("upgrade: pass %s: %w", name, err)
		}
		names = append(names, name)
		fds = append(fds, fd)
	}
	data, err := encodeLetter(manifest, names)
	if err != nil {
		return err
	}
	_ = m.post.SetWriteDeadline(time.Now().Add(mailboxWait))
	if _, _, err := m.post.WriteMsgUnix(data, unix.UnixRights(fds...), nil); err != nil {
		return fmt.Errorf("upgrade: send manifest of %d bytes: %w", len(data), err)
	}
	return nil
}

// sendNothing puts an empty message into the mailbox: who reads it learns that
// there will be no other.
func (m *mailbox) sendNothing() { _, _ = m.post.Write(nil) }

// encodeLetter refuses what the system would take and the reader would cut.
func encodeLetter(manifest Manifest, names []string) ([]byte, error) {
	head, err := json.Marshal(manifest)
	if err != nil {
		return nil, fmt.Errorf("upgrade: encode manifest: %w", err)
	}
	data, err := json.Marshal(envelope{Manifest: head, Files: names})
	if err != nil {
		return nil, fmt.Errorf("upgrade: encode manifest: %w", err)
	}
	if len(data) > mailboxSize {
		return nil, fmt.Errorf("upgrade: the manifest has %d bytes, the mailbox holds %d", len(data), mailboxSize)
	}
	return data, nil
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

// receive reads the message. The files in it are the caller's to close.
func (m *mailbox) receive() (*letter, error) {
	data, fds, err := m.read(time.Now().Add(mailboxWait))
	if err != nil {
		return nil, fmt.Errorf("upgrade: no manifest from the previous generation: %w", err)
	}
	l, err := openLetter(data, fds)
	if err != nil {
		closeAll(fds)
		return nil, err
	}
	return l, nil
}

func openLetter(data []byte, fds []int) (*letter, error) {
	if len(data) == 0 {
		return nil, errors.New("upgrade: the previous generation could not write its manifest")
	}
	var env envelope
	if err := json.Unmarshal(data, &env); err != nil {
		return nil, fmt.Errorf("upgrade: manifest from the previous generation: %w", err)
	}
	if len(env.Files) != len(fds) {
		return nil, fmt.Errorf("upgrade: the previous generation names %d files and sent %d", len(env.Files), len(fds))
	}
	manifest, err := decodeManifest(env.Manifest)
	if err != nil {
		return nil, err
	}
	l := &letter{manifest: manifest, files: make(map[string]*os.File, len(fds))}
	for i, name := range env.Files {
		l.files[name] = os.NewFile(uintptr(fds[i]), name)
	}
	return l, nil
}

// read waits until deadline for one message, and returns it with its
// descriptors, which are closed on exec.
func (m *mailbox) read(deadline time.Time) ([]byte, []int, error) {
	_ = m.fetch.SetReadDeadline(deadline)
	data, oob := buffers()
	n, oobn, _, _, err := m.fetch.ReadMsgUnix(data, oob)
	if err != nil {
		return nil, nil, err
	}
	fds, err := rights(oob[:oobn])
	return data[:n], fds, err
}

func buffers() (data, oob []byte) {
	return make([]byte, mailboxSize), make([]byte, unix.CmsgSpace(4*mailboxFiles))
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
	_ = m.post.Close()
	_ = m.fetch.Close()
}

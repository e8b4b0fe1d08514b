// Package activation takes the listening sockets that systemd has opened for this
// process: once, and by the first process only, since the variables that announce
// them would be inherited.
package activation

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fdpass"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
)

// mark names the sockets that a process has from one that has taken them: the first
// descriptor and the names, with colons between.
const mark = "GOZD_SOCKETS"

// Socket is a socket that a group is to have. Only the daemon that has it ever listens on it, but
// systemd keeps it open: it is never to be removed, and nothing may be changed that stays on it. One that
// systemd has had from the daemon, see [Socket.Stored], is the daemon's own again.
type Socket struct {
	Name   string        // as FileDescriptorName= has it, or StoredName
	Socket socket.Socket // nil only for a stored one that is of no use
	file   *os.File      // another descriptor of it, for Pass; nil without Socket
}

// Inherited are the sockets that systemd has passed to this process, taken at the first call. Later generations
// inherit them like all others.
var Inherited = sync.OnceValues(Take)

// Take returns the sockets, and removes what announces them from the environment. Call it
// once, before any process is started and any descriptor is opened.
func Take() ([]Socket, error) {
	var sockets []Socket
	var errs []error
	files, err := files()
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		s, err := newSocket(f)
		if err != nil {
			_ = f.Close()
			if s = (Socket{Name: f.Name()}); s.IsStored() {
				sockets = append(sockets, s)
				continue
			}
			errs = append(errs, err)
			continue
		}
		for _, other := range sockets {
			if s.IsStored() {
				break // whoever takes them finds one that fits
			}
			if other.Name == s.Name {
				errs = append(errs, fmt.Errorf("systemd passes two sockets named %q, and a group has one", s.Name))
			}
		}
		sockets = append(sockets, s)
	}
	if err := errors.Join(errs...); err != nil {
		Close(sockets)
		return nil, err
	}
	return sockets, nil
}

func files() ([]*os.File, error) {
	first, names, err := announced(os.Getenv, os.Getpid())
	for _, name := range []string{mark, listenPID, listenFDs, listenNames} {
		_ = os.Unsetenv(name)
	}
	var files []*os.File
	for i, name := range names {
		fdpass.CloseOnExec(first + i)
		files = append(files, os.NewFile(uintptr(first+i), name))
	}
	return files, err
}

func newSocket(f *os.File) (Socket, error) {
	sock, err := socket.FromFile(f)
	if err != nil {
		return Socket{}, fmt.Errorf("systemd passes a descriptor named %q that is no socket of ListenStream= or ListenDatagram=: %w", f.Name(), err)
	}
	if p, ok := sock.(socket.Packets); ok {
		if err := socket.HaveAlone(p); err != nil {
			_ = sock.Close()
			return Socket{}, fmt.Errorf("socket %q of systemd's: %w", f.Name(), err)
		}
	}
	return Socket{Name: f.Name(), Socket: sock, file: f}, nil
}

// Pass returns the descriptors for a new process, in which they begin with number first, and the
// variable by which Take finds them there. There are none without sockets.
func Pass(sockets []Socket, first int) (files []*os.File, env []string) {
	parts := []string{strconv.Itoa(first)}
	for _, s := range sockets {
		if s.file != nil {
			files, parts = append(files, s.file), append(parts, s.Name)
		}
	}
	if len(files) == 0 {
		return nil, nil
	}
	return files, []string{mark + "=" + strings.Join(parts, ":")}
}

// Close closes this process's descriptors. systemd's stay open.
func Close(sockets []Socket) {
	for _, s := range sockets {
		if s.Socket != nil {
			_ = s.Socket.Close()
			_ = s.file.Close() // nil has it return an error
		}
	}
}

// Own returns a stored socket, and closes what else this process has of it: from then on it is
// like those that the daemon has opened itself. systemd's stays open.
func (s Socket) Own() socket.Socket {
	_ = s.file.Close()
	return s.Socket
}

// Discard ends a stored socket for everybody, as closing it does where systemd does not keep it: nobody waits in the
// queue of an address that the daemon does not have any more.
func (s Socket) Discard() {
	if s.Socket == nil {
		return
	}
	s.control(shutDown)
	Close([]Socket{s})
}

// Inode tells this socket from others; it is 0 without Socket.
func (s Socket) Inode() (n uint64) {
	s.control(func(fd uintptr) { n = inode(fd) })
	return n
}

func (s Socket) control(do func(fd uintptr)) {
	if s.Socket == nil {
		return
	}
	if raw, err := s.Socket.SyscallConn(); err == nil {
		_ = raw.Control(do) // it fails for a closed one only, of which there is nothing left
	}
}

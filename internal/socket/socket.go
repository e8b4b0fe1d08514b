// Package socket opens the sockets that a daemon listens on: what the net
// package does not do by itself about Unix sockets, and about an address that
// an older generation still holds in another form.
package socket

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fdpass"
)

// Listener is a listening socket that can be passed to another process.
type Listener interface {
	net.Listener
	syscall.Conn
}

// Options configure Listen.
type Options struct {
	// Mode is the mode of a Unix socket's file. If zero, none but root can connect.
	Mode fs.FileMode

	// UID and GID own a Unix socket's file. If negative, the process's own.
	UID, GID int

	// SharePort says that an older generation of the same daemon listens on
	// this port on another host (127.0.0.1 becomes 0.0.0.0, say) and has
	// called AllowSharing. Both share the port until the older one lets go.
	SharePort bool

	madeBy int // whose a Unix socket's file is before it is given to its owner, if this process is root; see bindUnix
}

// madeByOther is for a file that is another user's at first, and is to be as if this process had made it.
func (o Options) madeByOther(uid int) Options {
	o.madeBy = uid
	if o.UID < 0 {
		o.UID = os.Geteuid()
	}
	if o.GID < 0 {
		o.GID = os.Getegid()
	}
	return o
}

// Listen opens a listening socket on network "tcp", "tcp4" or "unix". A Unix socket
// file that nobody answers on is replaced. The file has its mode and owner
// before anybody can connect, and is not removed when the listener is closed.
// Errors wrap the system's, so that errors.Is(err, syscall.EADDRINUSE) works.
func Listen(network, address string, opts Options) (Listener, error) {
	ln, err := Bind(network, address, opts)
	if err != nil {
		return nil, err
	}
	if err := Begin(ln); err != nil {
		_ = ln.Close()
		if network == "unix" {
			_ = Remove(address)
		}
		return nil, err
	}
	return ln, nil
}

// Bind is Listen without its last step, which is [Begin]: the address is taken, but
// nobody can connect, and so nobody is reset if it comes to nothing. Where
// a socket cannot be had in that state, on Windows, it is Listen.
func Bind(network, address string, opts Options) (Listener, error) {
	if network == "unix" {
		return bindUnix(address, opts)
	}
	ln, err := bindTCP(network, address, false)
	if errors.Is(err, syscall.EADDRINUSE) && opts.SharePort {
		return bindTCP(network, address, true)
	}
	return ln, err
}

// isAbstract tells a name in Linux's abstract namespace from a path.
func isAbstract(address string) bool { return strings.HasPrefix(address, "@") }

// AllowSharing lets a successor listen on the same port on another host, or ends
// that. It works on a socket that listens already. A process that does not ask for
// it, or runs as another user, is still refused the port.
func AllowSharing(ln syscall.Conn, allow bool) error {
	raw, err := ln.SyscallConn()
	if err != nil {
		return err
	}
	return setReusePort(raw, allow)
}

func dialError(path string, err error) error {
	return &net.OpError{Op: "dial", Net: "unix", Addr: &net.UnixAddr{Name: path, Net: "unix"}, Err: err}
}

// RefuseFiles has the kernel refuse the descriptors that clients of a Unix socket send along, where it can: see [fdpass.Refuse].
func RefuseFiles(ln syscall.Conn) error {
	raw, err := ln.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(func(fd uintptr) { fdpass.Refuse(int(fd)) })
}

// Package socket opens the sockets that a daemon listens on: what the net
// package does not do by itself about Unix sockets, and about an address that
// an older generation still holds in another form.
package socket

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fdpass"
)

// Socket is what a daemon receives on, and can pass to another process: a [Listener], or [Packets].
type Socket interface {
	Addr() net.Addr
	Close() error
	syscall.Conn
}

// Listener is a listening socket.
type Listener interface {
	net.Listener
	syscall.Conn
}

// PacketConn is a socket for datagrams: a *net.UDPConn or a *net.UnixConn.
type PacketConn interface {
	net.PacketConn
	syscall.Conn
}

// Packets is a socket for datagrams as a [Socket].
type Packets struct{ PacketConn }

// Addr is LocalAddr.
func (p Packets) Addr() net.Addr { return p.LocalAddr() }

// IsUnix reports whether the addresses of a network are those of Unix sockets: paths, and names that begin with @.
func IsUnix(network string) bool { return network == "unix" || network == "unixgram" }

// IsPackets reports whether a network is one of datagrams.
func IsPackets(network string) bool {
	return network == "unixgram" || strings.HasPrefix(network, "udp")
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
	s, err := Bind(network, address, opts)
	if err != nil {
		return nil, err
	}
	ln, ok := s.(Listener)
	if !ok {
		_ = s.Close()
		return nil, fmt.Errorf("listen %s %s: %w", network, address, errors.ErrUnsupported)
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
// a socket cannot be had in that state, on Windows, it is Listen. On "udp", "udp4" and "unixgram" it returns [Packets], which receive at once.
func Bind(network, address string, opts Options) (Socket, error) {
	if IsUnix(network) {
		return bindUnix(network, address, opts)
	}
	bind := bindTCP
	if IsPackets(network) {
		bind = bindUDP
	}
	s, err := bind(network, address, false)
	if errors.Is(err, syscall.EADDRINUSE) && opts.SharePort {
		return bind(network, address, true)
	}
	return s, err
}

// errMulticast is why a group has no multicast address: the net package would bind the port on all hosts, where every user can bind it too.
var errMulticast = errors.New("a multicast address is shared by all who want it, and no group can have it for itself")

// HaveAlone has a socket for datagrams that somebody else has bound be nobody's besides: with the option by which systemd binds, any user
// could bind the same address, and get what comes.
func HaveAlone(s Packets) error {
	if IsUnix(s.LocalAddr().Network()) {
		return nil
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return err
	}
	return setReuseAddr(raw, false)
}

func bindUDP(network, address string, share bool) (Socket, error) {
	var lc net.ListenConfig
	if share {
		lc.Control = func(_, _ string, c syscall.RawConn) error { return setReusePort(c, true) }
	}
	at, err := net.ResolveUDPAddr(network, address)
	if err == nil && at.IP.IsMulticast() {
		err = errMulticast
	}
	if err != nil {
		return nil, fmt.Errorf("listen %s %s: %w", network, address, err)
	}
	conn, err := lc.ListenPacket(context.Background(), network, at.String())
	if failed := (*net.OpError)(nil); errors.As(err, &failed) {
		failed.Err = bindError(failed.Err)
	}
	if err != nil {
		return nil, err
	}
	return packets(conn)
}

func packets(conn net.PacketConn) (Socket, error) {
	p, ok := conn.(PacketConn)
	if !ok {
		_ = conn.Close()
		return nil, fmt.Errorf("%T is no socket", conn)
	}
	return Packets{p}, nil
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

//go:build unix

package socket

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// errHeld has the net package give up a socket before it binds it.
var errHeld = errors.New("socket: held")

// bindTCP has the net package choose and prepare the socket as ever: its family, its protocol
// and its options. Only the two calls that would follow are done here and by Begin.
func bindTCP(network, address string, share bool) (Socket, error) {
	h := holder{share: share}
	defer h.close()
	lc := net.ListenConfig{Control: h.control}
	if _, err := lc.Listen(context.Background(), network, address); !errors.Is(err, errHeld) {
		return nil, err
	}
	if err := unix.Bind(h.fd, h.to); err != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Addr: numeric(h.address), Err: bindError(os.NewSyscallError("bind", err))}
	}
	return FromFile(h.file)
}

// bindError says what the system does not: which right is missing.
func bindError(err error) error {
	if !errors.Is(err, unix.EACCES) {
		return err
	}
	return fmt.Errorf("%w: the port is privileged, and user %d needs CAP_NET_BIND_SERVICE for it", err, unix.Geteuid())
}

// holder keeps a socket that the net package has prepared and closes.
type holder struct {
	share   bool
	address string
	to      unix.Sockaddr
	file    *os.File
	fd      int // of file
}

// numeric is a TCP address for an error.
type numeric string

// Network implements net.Addr.
func (numeric) Network() string { return "tcp" }

// String implements net.Addr.
func (a numeric) String() string { return string(a) }

// control is a net.ListenConfig.Control. It is called again, with a plain socket, after it
// has refused one of Multipath TCP; the first is the one that would have been used.
func (h *holder) control(network, address string, c syscall.RawConn) error {
	if h.file != nil {
		return errHeld
	}
	to, err := sockaddr(network, address)
	if err != nil {
		return err
	}
	if h.share {
		if err := setReusePort(c, true); err != nil {
			return err
		}
	}
	h.address, h.to = address, to
	var dupErr error
	err = c.Control(func(fd uintptr) { h.fd, dupErr = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) })
	if err = cmp.Or(err, os.NewSyscallError("fcntl", dupErr)); err != nil {
		return err
	}
	h.file = os.NewFile(uintptr(h.fd), address)
	return errHeld
}

func (h *holder) close() {
	if h.file != nil {
		_ = h.file.Close()
	}
}

// sockaddr is an address as a ListenConfig.Control has it: numbers, on "tcp4" or "tcp6".
func sockaddr(network, address string) (unix.Sockaddr, error) {
	host, digits, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.Atoi(digits)
	if err != nil {
		return nil, err
	}
	ip := netip.IPv6Unspecified()
	if host != "" {
		if ip, err = netip.ParseAddr(host); err != nil {
			return nil, err
		}
	}
	if network == "tcp4" {
		return sockaddr4(ip.Unmap(), port), nil
	}
	to := &unix.SockaddrInet6{Port: port}
	if ip.Unmap().IsUnspecified() {
		return to, nil // 0.0.0.0 too means all that there are
	}
	to.Addr = ip.As16()
	to.ZoneId, err = zoneID(ip.Zone())
	return to, err
}

func sockaddr4(ip netip.Addr, port int) unix.Sockaddr {
	to := &unix.SockaddrInet4{Port: port}
	if ip.Is4() {
		to.Addr = ip.As4()
	}
	return to
}

// zoneID is that of a link-local address: the number of an interface, or its name.
func zoneID(zone string) (uint32, error) {
	if zone == "" {
		return 0, nil
	}
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n), nil
	}
	i, err := net.InterfaceByName(zone)
	if err != nil {
		return 0, err
	}
	return uint32(i.Index), nil
}

package listen

import (
	"net"
	"net/netip"
	"syscall"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/packet"
)

// PacketConn is the socket of a group of mode udp. gozd.ListenPacket returns one; no other package implements it, and it may get more
// methods. They are safe for concurrent use.
//
// A read waits until the process is ready. While the group drains, a read waits until the generation may end, and returns net.ErrClosed then:
// a program that ends when its loop ends cuts nothing. What has not been read is the successor's. Writing goes on, except on an address that the
// successor does not have: there the socket is closed when its queue has been empty for 200 ms, and after a second at the latest. A
// deadline for reads counts all the time. Errors are the socket's own.
type PacketConn interface {
	net.PacketConn

	// Group returns the name of the group.
	Group() string

	// Draining returns a channel that is closed when this generation reads no more because it ends. If it resumes, as its successor has
	// died, reads go on, and Draining returns another channel. The program's own Close closes none.
	Draining() <-chan struct{}

	// SyscallConn gives access to the socket. Read of what it returns waits as ReadFrom does; who reads by Control takes
	// datagrams from the successor.
	syscall.Conn

	// SetReadBuffer and SetWriteBuffer set how many bytes the kernel keeps for the socket, which all generations share. What comes
	// while nobody reads, for some milliseconds at an upgrade, has to fit.
	SetReadBuffer(bytes int) error
	SetWriteBuffer(bytes int) error
}

// UDPConn is a PacketConn on UDP: its other methods are those of *net.UDPConn.
type UDPConn interface {
	PacketConn
	ReadFromUDPAddrPort(b []byte) (n int, addr netip.AddrPort, err error)
	ReadMsgUDP(b, oob []byte) (n, oobn, flags int, addr *net.UDPAddr, err error)
	WriteToUDPAddrPort(b []byte, addr netip.AddrPort) (int, error)
	WriteMsgUDP(b, oob []byte, addr *net.UDPAddr) (n, oobn int, err error)
}

var (
	_ PacketConn = (*packet.Conn)(nil)
	_ UDPConn    = packet.UDPConn{}
)

package packet

import (
	"net"
	"net/netip"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
)

// UDPConn is a [Conn] on a UDP socket, with those methods of *net.UDPConn that a net.PacketConn has not.
type UDPConn struct{ *Conn }

// udp is the socket of a Conn that is on UDP.
func udp(s socket.Packets) *net.UDPConn { return s.PacketConn.(*net.UDPConn) }

// ReadFromUDPAddrPort is ReadFrom without garbage.
func (c UDPConn) ReadFromUDPAddrPort(b []byte) (n int, addr netip.AddrPort, err error) {
	err = c.read(func(s socket.Packets) (err error) {
		n, addr, err = udp(s).ReadFromUDPAddrPort(b)
		return err
	})
	return n, addr, err
}

// ReadMsgUDP is ReadFrom with out-of-band data: the address that was asked, for instance.
func (c UDPConn) ReadMsgUDP(b, oob []byte) (n, oobn, flags int, addr *net.UDPAddr, err error) {
	err = c.read(func(s socket.Packets) (err error) {
		n, oobn, flags, addr, err = udp(s).ReadMsgUDP(b, oob)
		return err
	})
	return n, oobn, flags, addr, err
}

// WriteToUDPAddrPort is WriteTo without garbage.
func (c UDPConn) WriteToUDPAddrPort(b []byte, addr netip.AddrPort) (int, error) {
	return udp(c.socket()).WriteToUDPAddrPort(b, addr)
}

// WriteMsgUDP is WriteTo with out-of-band data.
func (c UDPConn) WriteMsgUDP(b, oob []byte, addr *net.UDPAddr) (n, oobn int, err error) {
	return udp(c.socket()).WriteMsgUDP(b, oob, addr)
}

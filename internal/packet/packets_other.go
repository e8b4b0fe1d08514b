//go:build !unix

package packet

import (
	"net"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
)

func (c *Conn) readFrom(s socket.Packets, b []byte) (n int, addr net.Addr, err error) {
	return s.ReadFrom(b)
}

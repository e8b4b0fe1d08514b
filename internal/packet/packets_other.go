//go:build !unix

package packet

import (
	"net"
	"sync"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
)

func readFrom(s socket.Packets, b []byte, _ *sync.Mutex) (n int, addr net.Addr, err error) {
	return s.ReadFrom(b)
}

//go:build unix

package packet

import (
	"net"
	"sync"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fdpass"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
)

// maxFiles is how many descriptors one datagram can have on Linux (SCM_MAX_FD).
const maxFiles = 253

// rooms are buffers for what comes along with datagrams.
var rooms = sync.Pool{New: func() any { b := make([]byte, unix.CmsgSpace(4*maxFiles)); return &b }}

// readFrom reads a datagram. Descriptors that came with one of a Unix socket are closed elsewhere: without room for them, this read would
// take as long as their sender wants. Whoever closes them holds closing, so that one thread at most waits. The kernel refuses them where it can, but for those that were sent before this process had the socket.
func readFrom(s socket.Packets, b []byte, closing *sync.Mutex) (n int, addr net.Addr, err error) {
	conn, ok := s.PacketConn.(*net.UnixConn)
	if !ok {
		return s.ReadFrom(b)
	}
	room := rooms.Get().(*[]byte)
	defer rooms.Put(room)
	n, oobn, _, from, err := conn.ReadMsgUnix(b, *room)
	if oobn > 0 {
		if _, fds, err := fdpass.Parse((*room)[:oobn]); err == nil && len(fds) > 0 {
			go func() {
				closing.Lock()
				defer closing.Unlock()
				fdpass.Close(fds)
			}()
		}
	}
	if from == nil {
		return n, nil, err
	}
	return n, from, err
}

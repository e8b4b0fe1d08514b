package bench

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/packet"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
)

// datagrams is what both sides have.
type datagrams interface {
	ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error)
	WriteToUDPAddrPort(b []byte, addr netip.AddrPort) (int, error)
}

// BenchmarkUDP answers one datagram of each client after the other.
func BenchmarkUDP(b *testing.B) {
	for _, side := range []struct {
		name string
		wrap func(*net.UDPConn) datagrams
	}{
		{"plain", func(c *net.UDPConn) datagrams { return c }},
		{"gozd", gozdDatagrams},
	} {
		b.Run("side="+side.name, func(b *testing.B) {
			inner, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = inner.Close() })
			go answerDatagrams(side.wrap(inner))
			ask(b, func() (asker, error) {
				conn, err := net.Dial("udp", inner.LocalAddr().String())
				if err != nil {
					return asker{}, err
				}
				// Loopback drops none as long as each client has one under way.
				if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
					return asker{}, err
				}
				answer := make([]byte, 100)
				return asker{func() error {
					if _, err := conn.Write([]byte("datagram")); err != nil {
						return err
					}
					_, err := conn.Read(answer)
					return err
				}, conn.Close}, nil
			})
		})
	}
}

func gozdDatagrams(c *net.UDPConn) datagrams {
	open, never := make(chan struct{}), make(chan struct{})
	close(open)
	return packet.UDPConn{Conn: packet.New(socket.Packets{PacketConn: c}, packet.Options{
		Group: "dns", Gate: open, Release: never, OnRead: func() {},
	})}
}

func answerDatagrams(c datagrams) {
	b := make([]byte, 1500)
	for {
		n, from, err := c.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		if _, err := c.WriteToUDPAddrPort(b[:n], from); err != nil {
			return
		}
	}
}

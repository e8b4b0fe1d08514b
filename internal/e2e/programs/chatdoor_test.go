package programs

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"testing"

	"golang.org/x/net/websocket"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
)

// chatDoor connects users.
type chatDoor func() (net.Conn, error)

// openDoor returns that of a group: lines in the clear, or WebSockets.
func openDoor(t *testing.T, d *daemon.Daemon, group string) chatDoor {
	t.Helper()
	to := daemontest.Target(t, d, group)
	if group == "chat" {
		return func() (net.Conn, error) { return net.Dial(to.Network, to.Address) }
	}
	return func() (net.Conn, error) {
		conn, err := net.Dial(to.Network, to.Address)
		if err != nil {
			return nil, err
		}
		if group == "secure" {
			tc := tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) // whom it speaks to is not what is tested
			if err := tc.HandshakeContext(context.Background()); err != nil {
				_ = conn.Close()
				return nil, err
			}
			conn = tc
		}
		conf, err := websocket.NewConfig("ws://localhost/ws", "http://localhost")
		if err != nil {
			return nil, err
		}
		ws, err := websocket.NewClient(conf, conn)
		if err != nil {
			_ = conn.Close()
			return nil, err
		}
		return &socketOfLines{Conn: ws}, nil
	}
}

// socketOfLines sends each line in a message.
type socketOfLines struct {
	*websocket.Conn
	begun []byte
}

func (s *socketOfLines) Write(b []byte) (int, error) {
	s.begun = append(s.begun, b...)
	for {
		line, rest, ok := bytes.Cut(s.begun, []byte("\n"))
		if !ok {
			return len(b), nil
		}
		if err := websocket.Message.Send(s.Conn, string(line)); err != nil {
			return 0, err
		}
		s.begun = rest
	}
}

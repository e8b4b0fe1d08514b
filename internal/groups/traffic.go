package groups

import (
	"context"
	"fmt"
	"net"
	"syscall"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/packet"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
)

// Traffic is what comes in by a group's socket: connections or datagrams. Of its methods [listener.Listener] and [packet.Conn] have the
// contracts.
type Traffic interface {
	syscall.Conn
	Addr() net.Addr
	Hold() (resume func())
	Expect() (over func())
	StopAccepting()
	EmptyQueue()
	CloseIdle()
	Expedite()
	MoveIdle(to listener.Successor)
	AwaitDrained(ctx context.Context) listener.Result
	Stats() listener.Stats
	Stayed() map[string]uint64
	Totals() *listener.Totals
	Closed() <-chan struct{}
	Reopen() bool
	resume(sock socket.Socket) error // takes it over
}

// streams is a Listener as Traffic.
type streams struct{ *listener.Listener }

func (s streams) resume(sock socket.Socket) error {
	ln, ok := sock.(net.Listener)
	if !ok {
		_ = sock.Close()
		return fmt.Errorf("%T is no listener", sock)
	}
	return s.Resume(ln)
}

// packets is a Conn as Traffic: there are no connections.
type packets struct{ *packet.Conn }

func (p packets) resume(sock socket.Socket) error {
	s, ok := sock.(socket.Packets)
	if !ok {
		_ = sock.Close()
		return fmt.Errorf("%T is no socket for datagrams", sock)
	}
	return p.Resume(s)
}

// Hold does nothing: a datagram takes no descriptor.
func (packets) Hold() (resume func()) { return func() {} }

// Expect does nothing: none comes from another generation.
func (packets) Expect() (over func()) { return func() {} }

func (packets) CloseIdle()                  {}
func (packets) Expedite()                   {}
func (packets) MoveIdle(listener.Successor) {}
func (packets) Stats() listener.Stats       { return listener.Stats{} }
func (packets) Stayed() map[string]uint64   { return nil }
func (packets) Totals() *listener.Totals    { return new(listener.Totals) }

func (p packets) AwaitDrained(ctx context.Context) listener.Result {
	p.Conn.AwaitDrained(ctx)
	return listener.Result{}
}

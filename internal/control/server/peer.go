package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
)

// peer is who has connected.
type peer struct {
	uid, pid int // pid is 0 where the system does not tell
	err      error
}

// peerKey is the context's key of a *peer.
type peerKey struct{}

// withPeer is the http.Server's ConnContext.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, peerKey{}, peerOf(c))
}

func peerFrom(ctx context.Context) *peer {
	if p, ok := ctx.Value(peerKey{}).(*peer); ok {
		return p
	}
	return &peer{err: errors.New("not known")}
}

func peerOf(c net.Conn) *peer {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return &peer{err: fmt.Errorf("%T is no socket", c)}
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return &peer{err: err}
	}
	p := new(peer)
	if err := raw.Control(func(fd uintptr) { p.uid, p.pid, p.err = identify(int(fd)) }); err != nil {
		p.err = err
	}
	return p
}

// mayControl says, by an error, that a daemon of that user is not the peer's to control.
func (p *peer) mayControl(uid int) error {
	switch {
	case p.err != nil:
		return fmt.Errorf("who asks: %w", p.err)
	case p.uid != uid && p.uid != 0:
		return fmt.Errorf("uid %d is neither the daemon's user (uid %d) nor root", p.uid, uid)
	}
	return nil
}

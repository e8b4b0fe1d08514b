package server

import (
	"context"
	"errors"
	"fmt"
	"net"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
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
	return &peer{err: errors.New("the kernel does not say who asks")}
}

func peerOf(c net.Conn) *peer {
	p, err := socket.PeerOf(c)
	return &peer{uid: p.UID, pid: p.PID, err: err}
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

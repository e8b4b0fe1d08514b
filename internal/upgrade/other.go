//go:build !unix

package upgrade

import (
	"os"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
)

// bootstrap channel cannot be had here; New returns before it is used.
type bootstrapConn struct{ sender, receiver *os.File }

type bootstrapMessage struct {
	manifest Manifest
	files    map[string]*os.File
	sockets  held
}

func encodeMessage(Manifest, []string, int) ([]byte, error) { return nil, ErrNotSupported }

func newBootstrapConn() (sender, receiver *os.File, err error)      { return nil, nil, ErrNotSupported }
func inheritedConn(_, _ int) (sender, receiver *os.File, err error) { return nil, nil, ErrNotSupported }
func (*bootstrapConn) send(Manifest, map[string]*os.File, map[string]int) error {
	return ErrNotSupported
}
func (*bootstrapConn) receive() (*bootstrapMessage, error) { return nil, ErrNotSupported }
func (*bootstrapConn) isUnread() bool                      { return false }
func (*bootstrapConn) empty()                              {}

// relay cannot be had here; New returns before it is used.
type relay struct{ exited chan struct{} }

func newRelay() (*relay, error) { return nil, ErrNotSupported }
func (*relay) release()         {}
func (*relay) notify()          {}
func (*relay) forget()          {}

func socketOf(int) (socket.Socket, error) { return nil, ErrNotSupported }
func closeDescriptor(int)                 {}

func standbyPair() (ours, theirs *os.File, err error) { return nil, nil, ErrNotSupported }

func peek(*os.File) (byte, bool) { return 0, false }

func saysWaiting(*os.File) bool { return false }

func heard(*os.File, byte) *heir { return nil }

//go:build !unix

package upgrade

import (
	"net"
	"os"
)

// mailbox cannot be had here; New returns before it is used.
type mailbox struct{ post, fetch *os.File }

type letter struct {
	manifest Manifest
	files    map[string]*os.File
	sockets  held
}

func encodeLetter(Manifest, []string, int) ([]byte, error) { return nil, ErrNotSupported }

func newMailbox() (post, fetch *os.File, err error)                       { return nil, nil, ErrNotSupported }
func inheritedMailbox(_, _ int) (post, fetch *os.File, err error)         { return nil, nil, ErrNotSupported }
func (*mailbox) send(Manifest, map[string]*os.File, map[string]int) error { return ErrNotSupported }
func (*mailbox) receive() (*letter, error)                                { return nil, ErrNotSupported }
func (*mailbox) isUnread() bool                                           { return false }
func (*mailbox) empty()                                                   {}

const (
	tableflipFilesFD = 5
)

// relay cannot be had here; New returns before it is used.
type relay struct{ exited chan struct{} }

func newRelay() (*relay, error) { return nil, ErrNotSupported }
func (*relay) release()         {}
func (*relay) tell()            {}
func (*relay) forget()          {}

func listenerOf(int) (net.Listener, error) { return nil, ErrNotSupported }
func closeDescriptor(int)                  {}

func standbyPair() (ours, theirs *os.File, err error) { return nil, nil, ErrNotSupported }

func saysWaiting(*os.File) bool { return false }

//go:build !unix

package upgrade

import "os"

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

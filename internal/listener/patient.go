package listener

import (
	"errors"
	"net"
	"time"
)

// The waits of net/http's Server.Serve after a temporary error of Accept.
const (
	firstWait = 5 * time.Millisecond
	maxWait   = time.Second
)

// RetryTemporary returns a listener whose Accept outlives temporary errors, such as
// running out of descriptors: it waits and tries again, as net/http does by
// itself and net/http/fcgi does not. Everything else is ln's.
func RetryTemporary(ln net.Listener) net.Listener { return &retrying{Listener: ln} }

type retrying struct{ net.Listener }

// Accept returns the next connection or the first error that is not temporary.
func (p *retrying) Accept() (net.Conn, error) {
	wait := firstWait
	for {
		c, err := p.Listener.Accept()
		if err == nil || !temporary(err) {
			return c, err
		}
		time.Sleep(wait)
		wait = min(2*wait, maxWait)
	}
}

// temporary holds for EMFILE, ENFILE and their like; ECONNABORTED package net
// waits out by itself. Temporary is deprecated for want of a definition, but it
// is what net/http asks too.
func temporary(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Temporary() //nolint:staticcheck // see above
}

//go:build !linux

package listener

import (
	"net"
)

// IsQueued does not know.
func IsQueued(any) bool { return false }

// refuseNew cannot be had here: a client may get into the queue at the very last
// moment.
func refuseNew(net.Listener) {}

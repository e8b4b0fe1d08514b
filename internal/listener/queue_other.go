//go:build !linux

package listener

import (
	"net"
)

// isQueued does not know.
func isQueued(net.Listener) bool { return false }

// refuseNew cannot be had here: a client may get into the queue at the very last
// moment.
func refuseNew(net.Listener) {}

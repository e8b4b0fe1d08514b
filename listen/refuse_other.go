//go:build !linux

package listen

import "net"

// refuseNew cannot be had here: a client may get into the queue at the very last
// moment.
func refuseNew(net.Listener) {}

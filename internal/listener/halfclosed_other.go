//go:build !linux

package listener

import "net"

// isHalfClosed reports false: it cannot be known while something is to be read.
func isHalfClosed(net.Conn) bool { return false }

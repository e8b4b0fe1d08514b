//go:build !linux

package fcgix

import "net"

// cork is Linux's: elsewhere the answer and the FIN are two writes, one right
// after the other.
func cork(net.Conn) {}

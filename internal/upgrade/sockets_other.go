//go:build !unix

package upgrade

import "net"

func listenerOf(int) (net.Listener, error) { return nil, ErrNotSupported }
func closeDescriptor(int)                  {}

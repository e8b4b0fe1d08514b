//go:build !unix

package upgrade

import "net"

func dupListener(Listener) (int, error)    { return -1, ErrNotSupported }
func listenerOf(int) (net.Listener, error) { return nil, ErrNotSupported }
func closeDescriptor(int)                  {}

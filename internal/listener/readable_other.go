//go:build !unix

package listener

import "net"

// waitReadable does not wait: nothing is adopted here.
func waitReadable(net.Conn) error { return nil }

func peek(net.Conn) (bool, error) { return false, nil }

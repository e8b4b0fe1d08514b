package listen

import "net"

// FromConn finds the [Conn] in c: c itself, or what is below it, as long as
// every layer has a NetConn method, as *tls.Conn does.
func FromConn(c net.Conn) (Conn, bool) {
	for c != nil {
		if conn, ok := c.(Conn); ok {
			return conn, true
		}
		wrapper, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		c = wrapper.NetConn()
	}
	return nil, false
}

// FromListener finds the [Listener] in ln: ln itself, or the one inside a
// [TLSListener].
func FromListener(ln net.Listener) (*Listener, bool) {
	switch ln := ln.(type) {
	case *Listener:
		return ln, true
	case *TLSListener:
		return ln.Listener, true
	}
	return nil, false
}

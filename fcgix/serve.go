package fcgix

import (
	"net"
	"net/http"
	"net/http/fcgi"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
)

// Serve is fcgi.Serve: it accepts FastCGI connections on l and serves their
// requests with handler, http.DefaultServeMux if nil. If l is nil, it accepts
// from os.Stdin, as fcgi.Serve does. Unlike fcgi.Serve it waits out temporary
// errors of Accept, such as running out of descriptors.
//
// l may be a listener that others have put around gozd's; connections move through it as long as it hands on
// every byte as it is, and listen.FromConn finds gozd's connection.
//
// It always returns a non-nil error, and closes l. While a gozd listener drains,
// it returns only when the generation may end.
func Serve(l net.Listener, handler http.Handler) error {
	if l == nil {
		return fcgi.Serve(nil, handler)
	}
	defer func() { _ = l.Close() }()
	retrying := listener.RetryTemporary(l)
	if ln, ok := listener.FromListener(l); ok {
		retrying = &following{retrying, ln}
	}
	return fcgi.Serve(retrying, handler)
}

// following has connections followed.
type following struct {
	net.Listener
	ln *listener.Listener // what it is in the end
}

// Accept returns the next connection, which is followed. One that is hidden ends with its next answer while
// the listener drains.
func (l *following) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if below, ok := listener.FromConn(c); ok {
		return newConn(c, below, l.ln), nil
	}
	l.ln.Hidden(c)
	return newConn(c, nil, l.ln), nil
}

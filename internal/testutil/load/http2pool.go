package load

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"

	"golang.org/x/net/http2"
)

// errNothingSent is the text of the error that an http2.ClientConn returns for a
// request of which it has sent nothing, since the server has said goodbye just
// before. The package does not export it.
const errNothingSent = "http2: client conn not usable"

// HTTP2Pool is one HTTP/2 connection for several users; a new one when the
// server has said goodbye (GOAWAY) to the last. Its methods may be called by
// several goroutines at once.
//
// It holds the connections of golang.org/x/net/http2 itself: the transports of
// that package and of net/http send a request again by themselves, or report one
// as lost that was never sent.
type HTTP2Pool struct {
	target    Target
	transport *http2.Transport

	mu      sync.Mutex // guards the rest
	current *http2.ClientConn
	conns   []net.Conn // all that were opened since the last Close
	opened  int
	broken  bool // a request has failed since the last connection was opened
}

// NewHTTP2Pool returns a pool without a connection yet. The target must have
// TLS.
func NewHTTP2Pool(t Target) (*HTTP2Pool, error) {
	if err := t.validate(); err != nil {
		return nil, fmt.Errorf("http2: %w", err)
	}
	if t.TLS == nil {
		return nil, errors.New("http2: the target has no TLS")
	}
	return &HTTP2Pool{target: t, transport: &http2.Transport{DisableCompression: true}}, nil
}

// Connections returns how many connections the pool has opened.
func (p *HTTP2Pool) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.opened
}

// Close closes the connections, also those with requests in flight. The pool
// can be used again and then opens a new one.
func (p *HTTP2Pool) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_ = c.Close() // it may have ended long ago
	}
	p.conns, p.current = nil, nil
	return nil
}

// failed notes that a request failed, so that the next connection is not taken
// for a planned one.
func (p *HTTP2Pool) failed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.broken = true
}

// acquire returns a connection with a stream reserved on it, and notes in r
// whether it was opened for this request.
func (p *HTTP2Pool) acquire(ctx context.Context, r *Reply) (*http2.ClientConn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current != nil && p.current.ReserveNewRequest() {
		return p.current, nil
	}
	conn, err := p.dial(ctx)
	if err != nil {
		return nil, err
	}
	cc, err := p.transport.NewClientConn(conn)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	r.Dialed, r.Reconnected = true, p.opened > 0 && !p.broken
	p.opened++
	p.broken = false
	p.current, p.conns = cc, append(p.conns, conn)
	if !cc.ReserveNewRequest() {
		return nil, errors.New("a new connection takes no request")
	}
	return cc, nil
}

func (p *HTTP2Pool) dial(ctx context.Context) (net.Conn, error) {
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: DefaultTimeout}, Config: p.target.tlsConfig("h2")}
	conn, err := d.DialContext(ctx, p.target.Network, p.target.Address)
	if err != nil {
		return nil, err
	}
	if proto := conn.(*tls.Conn).ConnectionState().NegotiatedProtocol; proto != "h2" {
		return nil, errors.Join(fmt.Errorf("the server speaks %q, not h2", proto), conn.Close())
	}
	return conn, nil
}

package httpx

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"

	"golang.org/x/net/http2"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tlsrec"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tlswatch"
)

// secured is the listener of an https group of which connections move with their keys. It makes the handshakes, each in a goroutine of its
// own, before net/http has the connection: only then it is known whether that is HTTP/1.1, which gets a type that knows when it is idle, or
// HTTP/2, which net/http knows by its *tls.Conn, see h2tls.go. So net/http says StateNew of a connection when its handshake is over.
type secured struct {
	*listener.TLSListener
	server *Server

	begin   sync.Once
	ready   chan incoming
	shaking sync.WaitGroup
	over    chan struct{} // closed when nothing more comes
	err     error         // why; set before over is closed
	ended   chan struct{} // closed when nobody accepts any more

	mu      sync.Mutex // guards what follows
	pending map[net.Conn]struct{}
	latest  *handshakes
}

// handshakes are those that are made by one configuration of the listener.
type handshakes struct {
	*secured
	of     *tls.Config
	config *tls.Config // of, with what tells trackers the keys
	leaf   [32]byte    // of its certificates
}

// current returns what handshakes are made by that begin now.
func (l *secured) current() *handshakes {
	l.mu.Lock()
	defer l.mu.Unlock()
	if conf := l.Config(); l.latest == nil || l.latest.of != conf {
		l.latest = &handshakes{secured: l, of: conf, config: tlswatch.Config(conf), leaf: leafOf(conf)}
	}
	return l.latest
}

// incoming is what Accept returns.
type incoming struct {
	conn net.Conn
	err  error
}

// lastHandshakes is how long handshakes may take when the program closes the listener: net/http's Close and Shutdown wait for Accept.
const lastHandshakes = time.Second

// serveSecured serves ln, whose connections move with their keys.
func (s *Server) serveSecured(ln *listener.TLSListener) error {
	l := &secured{
		TLSListener: ln,
		server:      s,
		ready:       make(chan incoming),
		over:        make(chan struct{}),
		ended:       make(chan struct{}),
		pending:     make(map[net.Conn]struct{}),
	}
	ln.SetIdleTimeout(s.idleTimeout())
	s.h2.canMove() // now, and not when somebody waits for it
	defer ln.Arrivals().Admit(listener.SealedWay, l.admit)()
	defer close(l.ended)
	return s.Server.Serve(l)
}

// Accept returns the next connection whose handshake is over, for better or worse.
func (l *secured) Accept() (net.Conn, error) {
	l.begin.Do(func() { go l.acceptAll() })
	select {
	case in := <-l.ready:
		return in.conn, in.err
	case <-l.over:
		return nil, l.err
	}
}

// Close is that of the listener. Clients who have begun their handshake are served, those who have not are not.
func (l *secured) Close() error {
	err := l.TLSListener.Close()
	l.closePending(listener.IsSilent)
	return err
}

func (l *secured) acceptAll() {
	for {
		c, err := l.AcceptBelow()
		switch {
		case err == nil:
			l.shaking.Go(func() { l.bring(c) })
		case errors.Is(err, net.ErrClosed):
			l.finish(err)
			return
		default: // as is: net/http asserts err.(net.Error), and waits for a while where it is temporary
			l.deliver(incoming{err: err})
		}
	}
}

// finish has Accept return err, when the last handshakes are over.
func (l *secured) finish(err error) {
	done := make(chan struct{})
	go func() {
		l.shaking.Wait()
		close(done)
	}()
	timer := time.NewTimer(lastHandshakes)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	case <-l.ended:
	}
	l.err = err
	close(l.over)
	l.closePending(func(net.Conn) bool { return true })
}

// deliver gives to Accept, or closes what nobody wants any more.
func (l *secured) deliver(in incoming) {
	select {
	case l.ready <- in:
		return
	case <-l.over:
	case <-l.ended:
	}
	if in.conn != nil {
		_ = in.conn.Close()
	}
}

// bring brings a connection to where net/http can have it.
func (l *secured) bring(c net.Conn) {
	if state := listener.Unseal(c); state != nil {
		l.goOn(c, state)
		return
	}
	l.mu.Lock()
	l.pending[c] = struct{}{}
	l.mu.Unlock()
	conn := l.shake(c)
	l.mu.Lock()
	delete(l.pending, c)
	l.mu.Unlock()
	if conn != nil {
		l.deliver(incoming{conn: conn})
	}
}

func (l *secured) closePending(which func(net.Conn) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.pending {
		if which(c) {
			_ = c.Close()
		}
	}
}

// shake makes the handshake with net/http's timeout. After a failure net/http gets the connection, too: it meets the same error, answers what there is to
// answer, and says what it says. The result is nil where the connection has moved meanwhile.
func (l *secured) shake(c net.Conn) net.Conn {
	listener.SetActivity(c, listener.Fresh)
	tracker, now := tlswatch.New(c), l.current()
	tracker.Owner = now
	tc := tls.Server(tracker, now.config)
	timeout := l.server.handshakeTimeout()
	if timeout > 0 {
		_ = tc.SetDeadline(time.Now().Add(timeout)) // an error means that it has just ended
	}
	if err := tc.HandshakeContext(context.Background()); err != nil { // who closes c ends it
		if listener.HasMoved(c) {
			_ = tc.Close()
			return nil
		}
		return tc
	}
	if timeout > 0 {
		_ = tc.SetDeadline(time.Time{})
	}
	cs := tc.ConnectionState()
	if why := l.stays(cs); why != "" {
		tracker.Stay(tlsrec.Reason(why))
		listener.Stays(c, why)
		return tc
	}
	if cs.NegotiatedProtocol == http2.NextProtoTLS {
		return tc // net/http gives it back; see h2Conns.secure
	}
	return l.wrap(tc, now.keysOf(tc, tracker))
}

func (l *handshakes) keysOf(tc *tls.Conn, tracker *tlswatch.Conn) *keys {
	return &keys{mover: tracker, leaf: l.leaf, audit: func() error { return tracker.Audit(tc) }}
}

// stays returns why a connection never moves, or "".
func (l *secured) stays(cs tls.ConnectionState) string {
	switch {
	case cs.NegotiatedProtocol == http2.NextProtoTLS && !l.server.h2.canMove():
		return cs.NegotiatedProtocol
	case cs.NegotiatedProtocol != "" && cs.NegotiatedProtocol != "http/1.1" && cs.NegotiatedProtocol != http2.NextProtoTLS:
		return cs.NegotiatedProtocol
	case cs.Version < tls.VersionTLS13:
		return string(tlsrec.Version)
	case tlswatch.Err() != nil:
		return string(tlsrec.Off)
	case isHooked(l.Config()):
		return hooked
	}
	return ""
}

// goOn takes up a connection where an older generation has left it, with the state that admit has allowed.
func (l *secured) goOn(c net.Conn, packed []byte) {
	conn, err := l.takeUp(c, packed)
	if err != nil {
		_ = c.Close()
		return
	}
	if conn != nil {
		l.deliver(incoming{conn: conn})
	}
}

// takeUp returns what net/http is to have; nil for what the program has.
func (l *secured) takeUp(c net.Conn, packed []byte) (net.Conn, error) {
	b, above := unpack(packed)
	s, err := tlsrec.ParseState(b)
	clear(b)
	if err != nil {
		return nil, err
	}
	rc, err := tlsrec.Server(c, s)
	if err != nil {
		return nil, err
	}
	sc := l.wrap(rc, &keys{mover: rc})
	if rc.ConnectionState().NegotiatedProtocol != http2.NextProtoTLS {
		if len(above) == 0 {
			return sc, nil
		}
		l.server.resume(sc, above)
		return nil, nil
	}
	sc.reader.came = above
	tc, err := newStandIn(sc)
	if err != nil {
		_ = rc.Close() // which forgets the keys
		return nil, err
	}
	return tc, nil
}

package listener

import (
	"crypto/tls"
	"net"
	"slices"
	"sync"
	"sync/atomic"
)

// TLSListener is a [Listener] whose Accept returns *tls.Conn, as that of
// tls.NewListener does. TLS is outside and the gozd connection inside: net/http
// asserts *tls.Conn, and [FromConn] finds the Conn below it.
type TLSListener struct {
	*Listener
	config atomic.Pointer[tls.Config]

	mu      sync.Mutex // guards dropped, and the change of config
	dropped []string
}

// NewTLS returns a listener that speaks TLS over the connections of l. config
// must hold a certificate or a way to one, and is the listener's from then on; see Drop. The handshake is
// made by the first Read or Write, never by Accept.
func NewTLS(l *Listener, config *tls.Config) *TLSListener {
	t := &TLSListener{Listener: l}
	t.config.Store(config)
	return t
}

// Drop offers clients some protocols no longer (ALPN), as nobody serves them: a client that may speak one of them would, and wait for an
// answer. It is called before the first Accept.
func (l *TLSListener) Drop(protocols ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dropped = append(l.dropped, protocols...)
	l.drop(l.config.Load())
}

func (l *TLSListener) drop(config *tls.Config) {
	config.NextProtos = slices.DeleteFunc(slices.Clone(config.NextProtos), func(p string) bool {
		return slices.Contains(l.dropped, p)
	})
}

// Replace has connections that are accepted from now on make their handshake by another configuration, which is the listener's from
// then on. Those that have been accepted go on by the one before.
func (l *TLSListener) Replace(config *tls.Config) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop(config)
	l.config.Store(config)
}

// Config returns the listener's configuration, which is not to be changed, but for its keys of session tickets. It is called after Drop.
func (l *TLSListener) Config() *tls.Config { return l.config.Load() }

// Accept is [Listener.Accept], with TLS around the connection.
func (l *TLSListener) Accept() (net.Conn, error) {
	for {
		c, err := l.AcceptBelow()
		if err != nil {
			return nil, err // as is: net/http asserts err.(net.Error)
		}
		if state := Unseal(c); state != nil { // for an adapter that does not serve any more
			clear(state)
			_ = c.Close()
			continue
		}
		return tls.Server(c, l.Config()), nil
	}
}

// AcceptBelow is [Listener.Accept] for an adapter that speaks TLS itself. [Unseal] says whether it is to go on where another
// generation has stopped.
func (l *TLSListener) AcceptBelow() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err // as is: net/http asserts err.(net.Error)
	}
	moveSilent(c)
	return c, nil
}

// moveSilent lets c move as long as its client has said nothing, neither here nor to an older generation: the handshake has not begun then, and there is nothing that would have to go
// along, since a server of TLS never speaks first (RFC 8446, section 2). Whoever waits in that handshake gets io.EOF.
func moveSilent(c net.Conn) {
	s, ok := c.(socket)
	if !ok || s.part().ln.opts.SilentKey == "" || s.part().came.way == SealedWay {
		return
	}
	r := &IdleReader{way: SilentWay}
	// Where it cannot move it is none of our business that it is idle: SetActivity says what ends.
	r.Init(s, func(int) bool { return !r.used.Load() && s.part().ln.MovesBy(SilentWay) })
	s.part().below.Store(r)
}

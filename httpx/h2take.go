package httpx

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/h2move"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
)

// admit says what becomes of a connection with that state: it is an older generation's, which is no reason to believe it.
func (h *h2Conns) admit(b []byte) (listener.Arrival, error) {
	if h.limits == nil {
		return listener.Arrival{}, errNoHTTP2
	}
	state, err := h2move.Parse(b)
	if err != nil {
		return listener.Arrival{}, err
	}
	limits, err := h.limits()
	if err != nil {
		return listener.Arrival{}, err
	}
	return listener.Arrival{Speaks: len(state.Pending) > 0, HTTP2: true}, limits.Admit(state)
}

var errNoHTTP2 = errors.New("httpx: this generation does not serve HTTP/2 by httpx")

// plain follows a connection without TLS, of which the client's preface has been read. It can move if it is one of ours, with no layer in
// between, and the server can be brought into a state.
func (h *h2Conns) plain(c net.Conn) *h2Conn {
	hc := newPlainH2Conn(c)
	ours, ok := c.(interface{ h2() *reader })
	if ok && h.canMove() {
		hc.mayMove(ours.h2(), h)
	} else if m, ok := c.(interface{ retire() }); ok {
		m.retire() // it is HTTP/1.1 that moves
	}
	return hc
}

// canMove reports whether the server can be brought into a state.
func (h *h2Conns) canMove() bool {
	if h.limits == nil {
		return false
	}
	_, err := h.limits()
	return err == nil
}

// mayMove has the connection, which is read by r, move when it can, and go on from what has come.
func (c *h2Conn) mayMove(r *reader, h *h2Conns) {
	limits, _ := h.limits()
	sock, _ := listener.FromConn(c.Conn)
	c.mover = &h2Mover{conn: c, sock: sock, from: &r.IdleReader}
	if r.came == nil || !c.resume(r.came) {
		c.mover.ready.Store(true)
		c.in.Track(limits.Settings.Get(http2.SettingHeaderTableSize))
	}
	r.came = nil
}

// resume has the connection go on from what has come, and reports false where that is nonsense.
func (c *h2Conn) resume(came []byte) bool {
	state, err := h2move.Parse(came)
	if err != nil {
		return false // it was admitted: this cannot be
	}
	state.Resume(&c.in, &c.out)
	c.mover.came, c.mover.queue = h2move.NewRestore(state), state.Pending
	c.isOver = listener.IsOver(c.Conn)
	return true
}

// isQuiet reports whether the server is being brought into a state, of which the program need not know.
func (c *h2Conn) isQuiet() bool { return c.mover != nil && !c.mover.ready.Load() }

// handler returns that of the connection's requests. state is that of TLS; nil without.
func (c *h2Conn) handler(next http.Handler, state func() tls.ConnectionState) http.Handler {
	if c.mover == nil {
		return next
	}
	return &h2Handler{next, c.mover, state}
}

// probeLimit is how long a server in memory may take for one request.
const probeLimit = 10 * time.Second

// probe brings a server of this configuration into a state, on a connection in memory, and asks it something that it understands only
// there. It returns what the server grants its clients. A server that fails is one that connections must not move to, nor from: another version of
// x/net, say, of which what package h2move knows is no longer true.
func probe(conf *http2.Server, hs *http.Server) (h2move.Limits, error) {
	client, server := net.Pipe()
	defer func() { _ = client.Close() }()
	p := &probeConn{Conn: server, came: h2move.NewRestore(probeState)}
	served := make(chan struct{})
	go func() {
		defer close(served)
		conf.ServeConn(p, &http2.ServeConnOpts{BaseConfig: hs, Handler: p, SawClientPreface: true})
	}()
	err := client.SetDeadline(time.Now().Add(probeLimit))
	if err == nil {
		err = askProbe(client)
	}
	_ = client.Close()
	<-served
	if err != nil {
		return h2move.Limits{}, fmt.Errorf("httpx: HTTP/2 cannot move: %w", err)
	}
	return p.came.Limits(), nil
}

// probeState has something of all that a server must learn.
var probeState = &h2move.State{
	Last: 5, SendWindow: 1 << 10, RecvWindow: 1,
	Table: []hpack.HeaderField{{Name: "x-newer", Value: "2"}, {Name: "x-older", Value: "1"}},
}

// probeConn is the server's end.
type probeConn struct {
	net.Conn
	came *h2move.Restore
}

func (p *probeConn) isQuiet() bool { return true }

func (p *probeConn) Read(b []byte) (int, error) {
	if n := p.came.Read(b); n > 0 {
		return n, nil
	}
	return p.Conn.Read(b)
}

func (p *probeConn) Write(b []byte) (int, error) {
	rest := b
	if !p.came.IsOver() {
		var err error
		if rest, err = p.came.Write(b); err != nil {
			return 0, err
		}
	}
	if len(rest) == 0 { // a pipe would wait for a reader
		return len(b), nil
	}
	if _, err := p.Conn.Write(rest); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (p *probeConn) Close() error {
	p.came.Close()
	return p.Conn.Close()
}

// ServeHTTP answers the request of the restoration, and that of the client.
func (p *probeConn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !p.came.IsOver() {
		p.came.ServeHTTP(w, r)
		return
	}
	if r.Header.Get("X-Newer") == "2" && r.Header.Get("X-Older") == "1" {
		w.WriteHeader(http.StatusNoContent)
	}
}

// askProbe sends a request on the next stream, with fields of the client's table, and reads the answer.
func askProbe(client net.Conn) error {
	fr := http2.NewFramer(client, client)
	fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	const stream = 7
	block := []byte{0x82, 0x84, 0x86, 0x01, 1, 'x', 0x80 | 62, 0x80 | 63} // GET / by http of x, and the table's two entries
	if err := fr.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block, EndStream: true, EndHeaders: true}); err != nil {
		return err
	}
	for {
		f, err := fr.ReadFrame()
		if err != nil {
			return err
		}
		if h, ok := f.(*http2.MetaHeadersFrame); ok {
			if h.StreamID != stream || h.PseudoValue("status") != "204" {
				return h2move.ErrNotRestored
			}
			return nil
		}
	}
}

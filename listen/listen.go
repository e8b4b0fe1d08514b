package listen

import (
	"net"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
)

// Conn is a connection that a gozd listener has accepted. It is safe for concurrent use
// as net.Conn is. Closing it twice is allowed; the second Close returns an
// error and does nothing, as for any net.Conn.
//
// One on TCP or on a Unix socket has all methods of *net.TCPConn or *net.UnixConn, and
// sendfile, splice and writev are the socket's own.
type Conn interface {
	net.Conn

	// Group returns the name of the group whose listener accepted the
	// connection.
	Group() string

	// Draining returns a channel that is closed when this generation stops
	// accepting: finish what is begun, then close the connection. The same
	// channel is returned for every connection of a listener, unless that has
	// resumed in between. It is about connections: a server that is told to
	// shut down at this moment drops those that it has just accepted.
	Draining() <-chan struct{}

	// Handover gives the connection's socket to the successor, with state for
	// the handler that takes it over there. After nil the connection is no
	// longer the caller's: return without touching it. After an error it is
	// untouched; the error is [ErrNoSuccessor] where nobody would take it.
	Handover(state []byte) error

	// State returns what the previous generation handed over with the
	// connection, and nil for a connection that was accepted here.
	State() []byte

	// NetConn returns the socket itself, a *net.TCPConn or a *net.UnixConn.
	// Closing it behind the Conn's back leaves the connection counted as open.
	NetConn() net.Conn
}

// ErrNoSuccessor is returned by [Conn.Handover] when there is no process that
// would take the connection: this generation still serves, its successor does
// not serve the connection's group, or connections cannot be moved on this
// platform. The connection is untouched and stays the caller's.
var ErrNoSuccessor = listener.ErrNoSuccessor

// ErrCut is the error of a read, within a *net.OpError, when a drain's time is over: this side has ended what comes from the client, who has
// not said that it is all. The connection is closed a second later. io.EOF means that the client has said so, on Linux at least; elsewhere
// a client who had said so before, and whose last bytes had not been read, looks cut.
var ErrCut = listener.ErrCut

// FromConn finds the [Conn] in c: c itself, or what is below it, as long as every layer has
// a method NetConn, Unwrap or Raw that returns a net.Conn, as *tls.Conn does, or embeds
// one in a field Conn, as the connections of netutil.LimitListener and of cmux do.
func FromConn(c net.Conn) (Conn, bool) {
	conn, ok := listener.FromConn(c)
	return conn, ok
}

// IsDraining reports whether the generation that has accepted c accepts no more; not any more where that
// serves again. A server that knows no drain, such as fasthttp, asks this in its handler, and closes the
// connection after the response. It is false where [FromConn] finds no [Conn] in c, and safe for concurrent use.
func IsDraining(c net.Conn) bool {
	conn, ok := listener.FromConn(c)
	return ok && listener.IsDraining(conn)
}

// Listener is a group's listener as an adapter sees it. gozd.Listen returns one; no other package implements it, and it may get
// more methods. They are safe for concurrent use.
//
// Accept waits until the process is ready. While the listener drains, Accept waits until the generation
// may end, and returns net.ErrClosed then: a program that ends when its loop ends cuts nothing. Errors are the socket's own, never
// wrapped. Close is the program's own end: it releases Accept at once, and open connections go on.
type Listener interface {
	net.Listener

	// Group returns the name of the group.
	Group() string

	// Draining returns a channel that is closed when the listener stops accepting
	// because its generation ends. The program's own Close does not close it.
	Draining() <-chan struct{}

	// Rounds returns the channel of Draining, and one that is closed if the listener accepts again
	// after that, as its successor has died. Call it again for what follows.
	Rounds() (draining, resumed <-chan struct{})

	// Moves reports whether an idle connection of the draining listener moves to the
	// successor. Ask before you tell a client to close its connection.
	Moves() bool

	// Spread returns the time over which to spread what makes clients of the draining
	// listener reconnect; zero is at once. It is the group's spread, and zero where nobody takes over.
	Spread() time.Duration

	// Expedited returns a channel that is closed when there is no time to spread anything
	// any more, since the generation is to end soon.
	Expedited() <-chan struct{}

	// SetIdleTimeout bounds how long a connection that has come from an older generation may wait
	// for its first byte, before Accept returns it: then it is closed, as the adapter would close an idle one. It counts from
	// the connection's arrival, and affects those that arrive later. If d is zero or negative, there is no
	// bound.
	SetIdleTimeout(d time.Duration)

	// Hidden tells the listener that [FromConn] has found none of its connections below c: gozd logs, once
	// for each group, that connections in layers of this type do not move.
	Hidden(c net.Conn)
}

// FromListener finds the [Listener] in ln: ln itself, the one inside the listener of
// an https group, or the one below any other layer whose Addr is the Listener's very own, as that of a layer that
// embeds it is. Accept of what it returns gives connections without these layers.
func FromListener(ln net.Listener) (Listener, bool) {
	l, ok := listener.FromListener(ln)
	if !ok {
		return nil, false // and no interface with a nil pointer in it
	}
	return l, true
}

// IdleReader is the reading side of a connection for an adapter that knows when
// the connection is idle. While the listener drains, an idle connection moves to
// the successor, or ends where nobody takes over, or stays; without it, Read would wait for a request that may
// never come. While the listener does not drain, Read costs one look at a channel
// more than the connection's.
//
// An adapter embeds it beside the connection, so that its Read, SetReadDeadline
// and SetDeadline hide the connection's, and calls Init before anything else. The
// methods are safe for concurrent use, as those of net.Conn are.
type IdleReader struct{ reader listener.IdleReader }

// Init prepares r for conn, which [FromConn] has found. idle is called by Read,
// in the goroutine that reads and only while the listener drains. It reports
// whether nothing of the protocol is under way, neither on the wire nor in a
// buffer, when the program asks for n bytes.
func (r *IdleReader) Init(conn Conn, idle func(n int) bool) { r.reader.Init(conn, idle) }

// Read reads from the connection. Once that has been handed over, the error is
// io.EOF. Errors are the socket's own: net/http asserts *net.OpError.
func (r *IdleReader) Read(b []byte) (int, error) { return r.reader.Read(b) }

// SetReadDeadline is that of net.Conn.
func (r *IdleReader) SetReadDeadline(t time.Time) error { return r.reader.SetReadDeadline(t) }

// SetDeadline is that of net.Conn.
func (r *IdleReader) SetDeadline(t time.Time) error { return r.reader.SetDeadline(t) }

// Wake has a Read that waits look again whether the connection is idle and the
// listener drains: for an adapter whose connections become idle otherwise than by what is read. Read itself goes on if
// not: the program notices nothing.
func (r *IdleReader) Wake() { r.reader.Wake() }

// Retire leaves the connection, without a deadline for reading, to whoever reads
// it next and may do so past r: by io.Copy, which prefers the
// socket's own WriteTo. Wake does nothing from then on.
func (r *IdleReader) Retire() { r.reader.Retire() }

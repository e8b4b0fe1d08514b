package grpcx

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/listen"
)

// readWait is how long a server has, when its generation has stopped accepting, to read from all that it has accepted: GracefulStop drops
// the connections on which it has not begun, and waits for those on which it has. So long it may take until the queue of the socket is empty; see
// docs/upgrade.md, "What to call when".
const readWait = 2 * time.Second

// rounds are a listener's lives, from one replacement of its generation to the next. Each has a server of its own.
type rounds struct {
	server   *Server
	from     listen.Listener // tells when it drains
	over     net.Listener    // is accepted on: from, or a layer over it
	accepted chan accepted
	ended    chan struct{}  // closed when over accepts nothing any more
	err      error          // why; set before ended is closed
	done     chan struct{}  // closed when Serve returns
	begun    bool           // there was a round; touched by Serve only
	stopping sync.WaitGroup // servers that are no longer accepting
}

// accepted is what Accept has returned.
type accepted struct {
	conn net.Conn
	err  error
}

// newRounds returns nil for a listener that is not gozd's.
func newRounds(s *Server, ln net.Listener) *rounds {
	from, ok := listen.FromListener(ln)
	if !ok {
		return nil
	}
	return &rounds{
		server: s, from: from, over: ln,
		accepted: make(chan accepted), ended: make(chan struct{}), done: make(chan struct{}),
	}
}

// serve serves until the generation is replaced, and reports true when it serves again.
func (r *rounds) serve() (again bool, err error) {
	srv, err := r.server.begin()
	switch {
	case err != nil && r.begun:
		return false, nil // the program has stopped it meanwhile
	case err != nil:
		return false, err
	case !r.begun:
		r.begun = true
		go r.accept()
	}
	g := &gate{rounds: r, closed: make(chan struct{})}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(g) }()
	for {
		draining, resumed := r.from.Rounds()
		select {
		case <-draining:
		case err := <-served:
			return false, r.leave(srv, err)
		}
		timer := time.NewTimer(readWait)
		select {
		case <-timer.C:
		case <-r.from.Expedited():
			g.awaitQuiet(timer.C)
		case err := <-served:
			timer.Stop()
			return false, r.leave(srv, err)
		case <-resumed: // nobody has been sent away yet
			timer.Stop()
			continue
		}
		timer.Stop()
		_ = g.Close()
		g.newcomers.close()
		r.stopping.Go(func() {
			srv.GracefulStop()
			r.server.end(srv)
		})
		return r.await(resumed)
	}
}

// await waits until the generation that drains serves again, or ends. Who still comes is told so at once, and comes again.
func (r *rounds) await(resumed <-chan struct{}) (again bool, err error) {
	for {
		select { // a connection that has come with the resume is not for us
		case <-resumed:
			return true, nil
		default:
		}
		select {
		case <-resumed:
			return true, nil
		case <-r.server.quit:
			return false, nil
		case <-r.ended:
			return false, r.err
		case a := <-r.accepted:
			if a.err == nil {
				_ = a.conn.Close()
			}
		}
	}
}

// leave is for a server that has stopped by itself: the program has stopped it, or the listener is closed.
func (r *rounds) leave(srv *grpc.Server, err error) error {
	r.server.end(srv)
	select {
	case <-r.ended:
		return r.err
	default:
		return err
	}
}

// wait returns when the servers of earlier rounds have ended, which have all the time that gozd leaves their connections.
func (r *rounds) wait() {
	_ = r.over.Close()
	close(r.done)
	r.stopping.Wait()
}

// accept hands connections to whichever server serves. Between two of them a connection waits.
func (r *rounds) accept() {
	for {
		c, err := r.over.Accept()
		if isFinal(err) {
			r.err = err
			close(r.ended)
			return
		}
		select {
		case r.accepted <- accepted{c, err}:
		case <-r.done:
			if err == nil {
				_ = c.Close()
			}
		}
	}
}

// isFinal reports whether Accept has nothing more to give. grpc-go waits for a while after other errors.
func isFinal(err error) bool {
	if err == nil {
		return false
	}
	t, ok := err.(interface{ Temporary() bool })
	return !ok || !t.Temporary()
}

// gate is the listener of one server: closing it closes no socket.
type gate struct {
	*rounds
	newcomers newcomers
	last      atomic.Int64 // when Accept has returned a connection, in nanoseconds of the Unix time
	close     sync.Once
	closed    chan struct{}
}

// Accept returns the next connection.
func (g *gate) Accept() (net.Conn, error) {
	select {
	case <-g.closed:
		return nil, net.ErrClosed
	default:
	}
	select {
	case a := <-g.accepted:
		if a.err != nil {
			return nil, a.err
		}
		g.last.Store(time.Now().UnixNano())
		return g.newcomers.add(a.conn), nil
	case <-g.closed:
		return nil, net.ErrClosed
	case <-g.ended:
		return nil, g.err
	}
}

// quiet is how long nobody may have come until the queue of a socket that is closing counts as empty, where there is little time.
const quiet = 300 * time.Millisecond

// awaitQuiet waits until nobody has come for that time, at most until the end of limit.
func (g *gate) awaitQuiet(limit <-chan time.Time) {
	began := time.Now()
	for {
		since := time.Since(time.Unix(0, max(g.last.Load(), began.UnixNano())))
		if since >= quiet {
			return
		}
		timer := time.NewTimer(quiet - since)
		select {
		case <-timer.C:
		case <-limit:
			timer.Stop()
			return
		}
	}
}

// Close ends Accept.
func (g *gate) Close() error {
	g.close.Do(func() { close(g.closed) })
	return nil
}

// Addr is the listener's.
func (g *gate) Addr() net.Addr { return g.over.Addr() }

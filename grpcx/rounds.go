package grpcx

import (
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/listen"
)

// readWait is how long a server has, when its generation has stopped accepting, to read from all that it has accepted: GracefulStop drops
// the connections on which it has not begun, and waits for those on which it has. So long it may take until the queue of the socket is empty; see
// docs/programming.md, "What to call when".
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
		left, err := r.awaitReads(g, served, resumed)
		switch {
		case left:
			return false, r.leave(srv, err)
		case isClosed(resumed): // nobody has been sent away yet
			continue
		}
		_ = g.Close()
		g.newcomers.close()
		r.stopping.Go(func() {
			srv.GracefulStop()
			r.server.end(srv)
		})
		return r.await(resumed)
	}
}

// awaitReads gives the server of g the time that it has to read from all that it has accepted. It returns early if the generation resumes, or if the
// server has stopped by itself: then left is true, and err what it says.
func (r *rounds) awaitReads(g *gate, served <-chan error, resumed <-chan struct{}) (left bool, err error) {
	timer := time.NewTimer(readWait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-resumed:
	case <-r.from.Expedited():
		g.awaitQuiet(timer.C)
	case err := <-served:
		return true, err
	}
	return false, nil
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// await waits until the generation that drains serves again, or ends. Who still comes is told so at once, and comes again.
func (r *rounds) await(resumed <-chan struct{}) (again bool, err error) {
	for {
		if isClosed(resumed) { // a connection that has come with it is not for us
			return true, nil
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

package httpx

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
)

// stateful is a connection of ours that follows what net/http does with it.
type stateful interface {
	setState(http.ConnState)
	// visible is what the program's ConnState hook sees.
	visible() net.Conn
}

// quiet is a connection of which the program need not know all: a server is brought into a state on it.
type quiet interface{ isQuiet() bool }

// activities are what net/http's states of HTTP/1.1 over TLS mean.
var activities = map[http.ConnState]listener.Activity{
	http.StateNew:    listener.Fresh,
	http.StateActive: listener.Busy,
	http.StateIdle:   listener.Idle,
}

// hookConnContext notes in the context of each connection which one it is, behind the program's
// hook. That sees what is below a connection of ours.
func (s *Server) hookConnContext() {
	program := s.ConnContext
	s.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		seen := c
		if ours, ok := c.(stateful); ok {
			seen = ours.visible()
		}
		if program != nil {
			ctx = program(ctx, seen)
		}
		if ctx == nil {
			return nil // net/http panics, and says whose fault it is
		}
		if s.hijacked.hook != nil {
			ctx = context.WithValue(ctx, exchangeKey{}, s.hijacked.serve(c))
		}
		return context.WithValue(ctx, connKey{}, newServed(c, s))
	}
}

// hookConnState tells connections of ours their state, and then the program, whose
// hook is still called.
func (s *Server) hookConnState() {
	program := s.ConnState
	follows := s.ownHTTP2() // else it could be HTTP/2 behind our back, of which net/http says nothing
	s.ConnState = func(c net.Conn, state http.ConnState) {
		s.hijacked.saw(c, state)
		program := program
		if q, ok := c.(quiet); ok && q.isQuiet() {
			program = nil
		}
		switch ours := c.(type) {
		case stateful:
			if state == http.StateIdle { // after the program's hook: a deadline that it sets is not net/http's
				defer ours.setState(state)
			} else {
				ours.setState(state)
			}
			c = ours.visible()
		case *tls.Conn:
			if follows {
				listener.SetActivity(c, activities[state])
			}
		}
		if program != nil {
			program(c, state)
		}
	}
}

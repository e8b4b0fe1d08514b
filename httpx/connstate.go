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

func isQuiet(c net.Conn) bool {
	q, ok := c.(quiet)
	return ok && q.isQuiet()
}

// activityOf is what a state of net/http's means in HTTP/1.1 over TLS.
func activityOf(s http.ConnState) listener.Activity {
	switch s {
	case http.StateNew:
		return listener.Fresh
	case http.StateActive:
		return listener.Busy
	case http.StateIdle:
		return listener.Idle
	}
	return listener.Unknown
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
		ours, isOurs := c.(stateful)
		if tc, ok := c.(*tls.Conn); ok && follows {
			listener.SetActivity(tc, activityOf(state))
		}
		if isOurs && state != http.StateIdle {
			ours.setState(state)
		}
		if program != nil && !isQuiet(c) {
			seen := c
			if isOurs {
				seen = ours.visible()
			}
			program(seen, state)
		}
		if isOurs && state == http.StateIdle { // after the program's hook: a deadline that it sets is not net/http's
			ours.setState(state)
		}
	}
}

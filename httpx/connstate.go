package httpx

import (
	"net"
	"net/http"
)

// stateful is a connection of ours that follows what net/http does with it.
type stateful interface {
	setState(http.ConnState)
	// visible is what the program's ConnState hook sees.
	visible() net.Conn
}

// hookConnState tells connections of ours their state, and then the program, whose
// hook is still called.
func (s *Server) hookConnState() {
	program := s.ConnState
	s.ConnState = func(c net.Conn, state http.ConnState) {
		if ours, ok := c.(stateful); ok {
			ours.setState(state)
			c = ours.visible()
		}
		if program != nil {
			program(c, state)
		}
	}
}

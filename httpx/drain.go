package httpx

import (
	"sync"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
)

// turns are how many of a server's listeners drain.
type turns struct {
	mu       sync.Mutex // held while a drain begins or is called off; guards what follows
	serving  int        // calls of Serve
	draining int        // of them, those whose listener drains
	resumed  bool       // a listener has called this drain off
}

// watch begins the drain of the server when ln drains, and calls it off when ln resumes.
func (s *Server) watch(ln *listener.Listener, done <-chan struct{}) {
	for {
		draining, resumed := ln.Rounds()
		select {
		case <-draining:
			s.beginDrain(ln)
		case <-done:
			s.leave(0)
			return
		}
		select {
		case <-resumed:
			s.endDrain()
		case <-done:
			s.leave(1)
			return
		}
	}
}

// beginDrain sends the clients away that cannot move. The listeners of a generation drain
// together, and the slowest of them sets the pace. The first may have drained, and its Serve returned, before the last is seen to drain.
func (s *Server) beginDrain(ln *listener.Listener) {
	s.turns.mu.Lock()
	defer s.turns.mu.Unlock()
	s.turns.draining++
	if s.pace.Load() != nil {
		return
	}
	p := newPace(s.spread(), ln.Expedited())
	s.pace.Store(p)
	s.notices.drain(p)
	s.hijacked.drain(p)
	s.h2.sendAway(p)
}

// spread is the longest of the listeners'.
func (s *Server) spread() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	var longest time.Duration
	for _, l := range s.all {
		longest = max(longest, l.Spread())
	}
	return longest
}

// endDrain lets those clients stay who have not been sent away yet. The listeners resume together, too.
func (s *Server) endDrain() {
	s.turns.mu.Lock()
	defer s.turns.mu.Unlock()
	s.turns.draining--
	s.turns.resumed = true
	s.callOffLocked()
}

// enter is called when a Serve begins. Where there was none, a drain that those before have left behind is over: a program has taken its
// groups again, and is to hear of the next one.
func (s *Server) enter() {
	s.turns.mu.Lock()
	defer s.turns.mu.Unlock()
	if s.turns.serving == 0 && s.pace.Load() != nil {
		s.endPaceLocked()
	}
	s.turns.serving++
}

// leave is called when a Serve has returned whose listener drained, or not. The others may have resumed already, or yet do so.
func (s *Server) leave(drained int) {
	s.turns.mu.Lock()
	defer s.turns.mu.Unlock()
	s.turns.serving--
	s.turns.draining -= drained
	s.callOffLocked()
}

// callOffLocked calls the drain off if the listeners have resumed. Where nobody serves the generation ends: clients go,
// though none is sent away any more.
func (s *Server) callOffLocked() {
	p := s.pace.Load()
	switch {
	case p == nil:
	case s.turns.serving == 0:
		p.end()
		s.notices.all()
	case s.turns.draining == 0 && s.turns.resumed:
		s.endPaceLocked()
	}
}

// endPaceLocked has this be a server that does not drain.
func (s *Server) endPaceLocked() {
	s.turns.resumed = false
	s.pace.Load().end()
	s.pace.Store(nil)
	s.notices.stay()
	s.hijacked.stay()
	s.h2.stay()
}

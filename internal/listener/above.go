package listener

// MovesHTTP2 is [Listener.Moves] for a connection of HTTP/2, and says no where the listener does not drain.
func (r *IdleReader) MovesHTTP2() bool {
	s, ok := r.conn.(socket)
	if !ok {
		return false
	}
	l := s.part().ln
	rule, now := l.idleRule()
	return rule.policy == moveIdle && now.draining.isSet() && l.opts.isTaken(r.wayOr(HTTP2Way), rule.successor)
}

// HandOver is [Conn].Handover by HTTP2Way or HijackedWay, with a state, to which the [Cargo] adds, if there is one. The caller has kept everybody from
// reading and writing. An error that is [ErrBusy] says that the layer has begun something: there is more to read.
func (r *IdleReader) HandOver(w Way, state []byte) error {
	s, ok := r.conn.(socket)
	if !ok {
		return ErrNoSuccessor
	}
	return s.moveOn(r.wayOr(w), r.with, state)
}

// NoteStay counts a connection with a [Cargo] that does not move in this drain: reason is one of a small number.
func (r *IdleReader) NoteStay(reason string, err error) {
	if s, ok := r.conn.(socket); ok && r.with != nil {
		s.part().note(s.part().ln.current(), reason, err)
	}
}

// wayOr is w, but for a connection with a [Cargo].
func (r *IdleReader) wayOr(w Way) Way {
	if r.with != nil {
		return SealedWay
	}
	return w
}

package listener

import (
	"errors"
	"net"
)

// HijackedKey is the key by which connections move that a program has taken over from an adapter, where those of the adapter have key. A generation that
// does not know such connections does not know the key either, and is never offered one. It is empty where key is. Those with a [Cargo] move by its
// key, with the state above it.
func HijackedKey(key string) string {
	if key == "" {
		return ""
	}
	return "hijacked " + key
}

// errNoHijacked is for hijacked connections where nobody has called AdmitHijacked.
var errNoHijacked = errors.New("nobody resumes hijacked connections")

// AdmitHijacked has connections adopted that a program of an older generation had hijacked, as admit says, until stop is called or somebody else calls
// AdmitHijacked. Accept returns them, and whoever calls it asks [TakeHijacked] of each.
func (l *Listener) AdmitHijacked(admit Admission) (stop func()) { return l.admitBy(hijackedWay, admit) }

// ReserveHijacked is [Listener.Reserve] for a connection that a program had hijacked.
func (l *Listener) ReserveHijacked(c net.Conn, state []byte) (answered func(error), err error) {
	arrival, err := l.admitted(hijackedWay, state, errNoHijacked)
	if err != nil {
		return nil, err
	}
	s, err := l.reserve(c)
	if err != nil {
		return nil, err
	}
	s.setAdopted(nil)
	*s.hijacked() = state
	return func(error) { l.arrive(s, arrival, openWay) }, nil
}

// TakeHijacked returns the state with which c, as Accept has returned it, has come from a program that had hijacked it, once; nil if it has not.
func TakeHijacked(c net.Conn) (state []byte) {
	s, ok := c.(socket)
	if !ok {
		return nil
	}
	h := s.hijacked()
	state, *h = *h, nil
	return state
}

// HandOverHijacked is [Conn].Handover of a connection that a program has taken over from an adapter, with its state, to which the [Cargo] adds, if there is
// one. Nobody reads or writes meanwhile. An error that is [ErrBusy] says that the layer has begun something: there is more to read.
func (r *IdleReader) HandOverHijacked(state []byte) error {
	s, ok := r.conn.(socket)
	if !ok {
		return ErrNoSuccessor
	}
	w := hijackedWay
	if r.with != nil {
		w = sealedWay
	}
	return s.moveOn(w, r.with, state)
}

// WokenReader is a [Conn] that does not leave it to its reader to be woken when its listener drains.
type WokenReader interface {
	Conn

	// ReadWoken is Read, but returns [ErrWoken] when the listener has begun to drain, and at other times: then nothing has been read.
	ReadWoken(b []byte) (int, error)
}

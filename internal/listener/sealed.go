package listener

import (
	"errors"
	"syscall"
)

// Cargo is what goes along with a connection of which the bytes alone are of no use to a successor: the state of a layer that an adapter has
// over it, such as the keys of TLS. Two processes that use it at the same time would give it away to whoever looks on. So
// at any time one process uses it at most, and where nobody can tell which one that is, none does. Its methods are called by one goroutine at a time.
type Cargo interface {
	// Pack returns the state, with above, that of a protocol over the layer, or nil; the caller clears what is returned. From then on, and until Stay,
	// nothing may be read or written through the layer, by nobody. After an error all goes on as it was: [ErrBusy], net.ErrClosed of a layer that is at its end, a
	// [StayError], or any other.
	Pack(above []byte) ([]byte, error)

	// Stay undoes Pack. The successor has not taken the connection.
	Stay()

	// Left is called after Pack when the connection is the successor's, or may be, and the own descriptor is closed. An error says that what
	// was packed may have been wrong.
	Left() error
}

// ErrBusy is returned by a [Cargo] that cannot be packed at the moment.
var ErrBusy = errors.New("listen: something is under way")

// StayError is why a connection cannot be packed.
type StayError struct {
	Reason string // one of a small number: it is counted by it
	Passes bool   // the reason may be gone after the next request
}

func (e *StayError) Error() string { return "listen: the connection stays: " + e.Reason }

// The reasons to stay that are the listener's.
const (
	stayUnknown   = "unknown"   // the Cargo's error has no reason
	stayRefused   = "refused"   // the successor does not take it, or is gone
	stayUncertain = "uncertain" // nobody knows whether it has taken it: the connection is closed
)

// StayWrong is the reason of a connection that has moved with a state that may be wrong.
const StayWrong = "wrong"

// move moves the connection by w, with the state of its protocol, and its cargo if there is any. After nil this process has nothing to do with it any more.
func (t *tracked) move(c socket, s syscall.Conn, w Way, with Cargo, above []byte) error {
	if with == nil {
		return t.handOver(c, s, w, above)
	}
	rule, now := t.ln.idleRule()
	if rule.policy != moveIdle || !t.ln.opts.isTaken(w, rule.successor) {
		return ErrNoSuccessor
	}
	state, err := with.Pack(above)
	if err != nil {
		return t.cannotPack(now, err)
	}
	t.leaving.moving.Store(true)
	err = rule.successor.Move(t.ln.opts.key(w), state, s)
	clear(state)
	if isUntaken(err) {
		t.leaving.moving.Store(false)
		with.Stay()
		return t.stay(now, stayRefused, err)
	}
	if err == nil {
		t.leaving.moved.Store(true)
	} else { // nobody has it any more, or the successor alone
		_ = t.stay(now, stayUncertain, err)
	}
	_ = c.Close() // only our descriptor: the successor has its own
	if err := with.Left(); err != nil {
		_ = t.stay(now, StayWrong, err)
	}
	return nil
}

func isUntaken(err error) bool {
	var knows interface{ Untaken() bool }
	return errors.As(err, &knows) && knows.Untaken()
}

//go:build unix

package succession

import (
	"errors"
	"net"
	"os"
	"slices"
	"syscall"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
)

// Heir is a successor without a channel: what is moved to it, Next adopts. A nil Next
// takes no group, and so no connection.
type Heir struct {
	Next   *listener.Listener
	Refuse error // what it says to a connection, if not nil
}

// Takes implements [listener.Successor].
func (h *Heir) Takes(string) bool { return h.Next != nil || h.Refuse != nil }

// Move implements [listener.Successor].
func (h *Heir) Move(key string, state []byte, s syscall.Conn) error {
	if h.Refuse != nil {
		return untaken{h.Refuse}
	}
	c, err := Duplicate(s)
	if err != nil {
		return err
	}
	answered, err := h.Next.Arrivals().Reserve(key, c, slices.Clone(state)) // the listener keeps it
	if err != nil {
		_ = c.Close()
		return untaken{err}
	}
	answered(nil)
	return nil
}

// untaken is a refusal: the connection is its owner's still.
type untaken struct{ error }

func (u untaken) Unwrap() error { return u.error }
func (untaken) Untaken() bool   { return true }

// Duplicate returns another connection for a socket, as a successor has it.
func Duplicate(s syscall.Conn) (net.Conn, error) {
	raw, err := s.SyscallConn()
	if err != nil {
		return nil, err
	}
	var dup int
	var dupErr error
	err = raw.Control(func(fd uintptr) {
		syscall.ForkLock.RLock()
		defer syscall.ForkLock.RUnlock()
		if dup, dupErr = syscall.Dup(int(fd)); dupErr == nil {
			syscall.CloseOnExec(dup)
		}
	})
	if err = errors.Join(err, dupErr); err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(dup), "")
	defer func() { _ = f.Close() }()
	return net.FileConn(f)
}

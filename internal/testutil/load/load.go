// Package load plays the clients of a daemon that is being upgraded: users who
// never retry, check every byte of every answer, and remember what went wrong.
//
// A [Client] is one user of one kind: it does one exchange after another, and
// an exchange that began and was not wholly answered is a failure, whatever a
// forgiving library would have made of it. A [Load] runs many of them at once,
// and a [Recorder] counts: how many exchanges, how many failed and why, how
// long they took, and which generation of the daemon served them.
package load

import (
	"context"
	"errors"
	"time"
)

// DefaultTimeout bounds an exchange whose context has no deadline. A kind that
// asks the server to take its time, such as [Slow], adds that time to it.
const DefaultTimeout = 30 * time.Second

// ErrNotSent is wrapped by the error of a Do that was stopped while the user
// was still thinking: nothing was sent, so nothing was lost.
var ErrNotSent = errors.New("stopped before anything was sent")

// Reply says who answered an exchange, and how. Beside an error it holds what
// was known by then.
type Reply struct {
	// Generation is the generation that answered, 0 if the protocol does not
	// tell (see [Lines]).
	Generation int

	// PID is the process that answered.
	PID int

	// Dialed tells that the exchange opened a new connection.
	Dialed bool

	// Reconnected tells that a kept connection had ended as the protocol
	// allows, and that the exchange opened the next one.
	Reconnected bool

	// Took is the time of the exchange from before its dial, if any, to the
	// last byte of the answer. The user's own think time is not in it.
	Took time.Duration
}

// Client is one simulated user. It is used by one goroutine at a time.
type Client interface {
	// Do does one exchange and checks the whole answer. It never tries twice.
	//
	// If ctx has no deadline, [DefaultTimeout] bounds the exchange. A ctx that
	// ends cuts an exchange in flight, which then fails; one that ends before
	// anything was sent makes Do return an error that wraps [ErrNotSent].
	// After any error the client has dropped its connection.
	Do(ctx context.Context) (Reply, error)

	// Close ends the user's connection, if there is one.
	Close() error
}

// Each kind is a Client.
var (
	_ Client = (*Get)(nil)
	_ Client = (*KeepAlive)(nil)
	_ Client = (*HTTP2)(nil)
	_ Client = (*FastCGI)(nil)
	_ Client = (*Lines)(nil)
	_ Client = (*Slow)(nil)
	_ Client = (*Stream)(nil)
	_ Client = (*File)(nil)
	_ Client = (*Hijack)(nil)
	_ Client = (*Pipelined)(nil)
)

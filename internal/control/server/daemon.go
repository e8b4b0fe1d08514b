package server

import (
	"context"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
)

// Daemon is what the server asks, and acts on. Its methods are called from several
// goroutines at once.
type Daemon interface {
	// Self names this generation.
	Self() (pid, generation int)

	// Status describes the daemon, or, if alone, this generation only.
	Status(ctx context.Context, alone bool) *protocol.Status

	// Program is what the program counts in this generation, in the Prometheus text format; with all what it counts in all, and the daemon's
	// metrics.
	Program(ctx context.Context, all bool) (string, error)

	// Upgrade does an upgrade and tells how it goes until its outcome, which is Served,
	// Failed or Superseded. tell does not block. The error is a *[RefusalError], and none
	// of the three has been told then.
	Upgrade(notify func(protocol.Event)) error

	// DryRun starts what Upgrade would start, and lets it end when it is ready. It tells as Upgrade does, but Passed and
	// not Served.
	DryRun(notify func(protocol.Event)) error

	// Rollback returns when this generation serves alone again, or a *[RefusalError].
	Rollback() error

	// Stop and Quit have the generation end, and do not wait for that. One that has been replaced already is only hurried; movedTo is the PID file
	// of the one that serves then, if an upgrade has moved it.
	Stop() (movedTo string)
	Quit() (movedTo string)

	// Reopen returns when this generation has reopened its log and the older ones have
	// been told to.
	Reopen() error

	// ReloadCerts returns the names of the groups that have other certificates from now on, or an error that
	// says which files are bad: groups with such go on as before. In a generation that does not serve it is a *[RefusalError].
	ReloadCerts() (renewed []string, err error)

	// Draining is closed when this generation begins to drain, and Drained when it has
	// drained.
	Draining() <-chan struct{}
	Drained() <-chan struct{}

	// Progress says how far the drain is, and after Drained how it went. It is not called
	// before Draining.
	Progress() protocol.Event
}

// RefusalError is why a Daemon does not do what it is asked.
type RefusalError struct {
	Code string // one of the protocol's
	Err  error
}

// Error implements error.
func (r *RefusalError) Error() string { return r.Err.Error() }

// Unwrap returns the reason.
func (r *RefusalError) Unwrap() error { return r.Err }

package gozd

import (
	"cmp"
	"context"
	"log/slog"
)

// DefaultConfig is the configuration file of a program that names none.
const DefaultConfig = "app.conf"

// Options configure a [Daemon]. The zero value is valid.
type Options struct {
	// Config is the path of the configuration file. If empty, DefaultConfig in
	// the working directory is used.
	Config string

	// Logger receives gozd's own log. If nil, it goes to standard error, one
	// line a message, those of errors marked [GOZDERR] and the rest [GOZD].
	Logger *slog.Logger

	// Verbose logs everything, where Logger is nil. Otherwise only warnings
	// and errors are logged.
	Verbose bool

	// ManualReady keeps the process from becoming ready by itself when all
	// groups are accepted on. The program calls Ready when it has warmed up.
	ManualReady bool

	// HealthCheck, if non-nil, is called once in a new generation, at the end of
	// its probation, in a goroutine of gozd's: it has been serving beside its
	// predecessor, and clients have found it well or not. An error, or none within
	// upgrade_timeout, when ctx ends, rolls the upgrade back: the generation accepts nothing more, its idle
	// connections move back, and it ends; the predecessor goes on alone. Without
	// probation in the configuration, and in a first generation, it is not called.
	HealthCheck func(ctx context.Context) error

	// OnReopen, if non-nil, is called when the daemon is asked to reopen its
	// log (SIGUSR1), after gozd has reopened its own. It runs in gozd's signal
	// goroutine: while it runs no other signal is handled.
	OnReopen func()
}

func (o *Options) config() string { return cmp.Or(o.Config, DefaultConfig) }

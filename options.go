package gozd

import (
	"cmp"
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

	// OnReopen, if non-nil, is called when the daemon is asked to reopen its
	// log (SIGUSR1), after gozd has reopened its own. It runs in gozd's signal
	// goroutine: while it runs no other signal is handled.
	OnReopen func()
}

func (o *Options) config() string { return cmp.Or(o.Config, DefaultConfig) }

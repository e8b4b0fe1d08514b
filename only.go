package gozd

import (
	"context"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/engine"
)

// ErrOnlyInUse is returned by Only for the name of an earlier call.
var ErrOnlyInUse = engine.ErrOnlyInUse

// ErrReplaced is the cause of the end of the context of [Only] after an upgrade: context.Cause returns it. At a stop that is context.Canceled.
var ErrReplaced = engine.ErrReplaced

// Only calls run in one generation at a time, whatever becomes of the others: it is for a ticker, the one consumer of a queue, a file that only
// one process can have. It returns at once, and calls run in a goroutine of its own
//
//   - when this generation serves, so during a probation not yet, and
//   - no other generation is still in the run of this name.
//
// ctx ends when the successor serves, and when a stop or a quit begins. run returns soon after that, since the successor's run waits for it.
// A run that goes on keeps its process as a connection does, for the longest drain_timeout at most, or stop_timeout; then the process ends, and
// the successor's run begins. If the successor dies and this generation serves again, run is called again.
//
// A run that returns earlier is not called again before that: in this generation it has done what it had to do. The next one calls its own.
// At a stop requests may come in after ctx has ended: a run that has something that they need keeps it then, see [ErrReplaced].
//
// name is of ASCII letters, digits, _ and -, and of at most 64 bytes; each call has another one, or [ErrOnlyInUse] is returned. Generations
// know a run by its name. What keeps them apart is the lock of the file PIDFILE.NAME.only, which only the daemon's user can open. The kernel
// frees it when a process ends, and its file goes with the run. Whoever removes that file earlier lets a second run begin. If the file cannot be made, the log
// says why, and it is tried again. On platforms without upgrades there is no lock, and run begins when this generation serves.
func Only(name string, run func(ctx context.Context)) error {
	d := std.Load()
	if d == nil {
		return ErrNotDaemonized
	}
	return d.Only(name, run)
}

// Only calls run in one generation at a time, as the package's [Only] does.
func (d *Daemon) Only(name string, run func(ctx context.Context)) error {
	return d.engine.Only(name, run)
}

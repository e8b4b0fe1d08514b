package gozd

import (
	"context"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/engine"
)

// ErrOnlyInUse is returned by Only for the name of an earlier call.
var ErrOnlyInUse = engine.ErrOnlyInUse

// ErrReplaced is why the context of a run of [Only] has ended after an upgrade, by
// context.Cause. At a stop or a quit that is context.Canceled.
var ErrReplaced = engine.ErrReplaced

// Only calls run in one generation at a time, whatever becomes of the others. It is for a
// ticker, the one consumer of a queue, a file that only one process can have. It returns at
// once, and calls run in a goroutine of its own when
//
//   - this generation serves, so not yet during its probation, and
//   - no other generation is still in its run of this name.
//
// ctx ends when the successor serves, and when a stop or a quit begins. run returns soon after
// that, since the successor's run waits for it. A run that goes on keeps its process as a
// connection does: for the longest drain_timeout at most, or stop_timeout. Then the process
// ends, and the successor's run begins. At a stop requests may come in after ctx has ended, so
// a run that has what they need lets go of it only after [ErrReplaced].
//
// A run that returns before ctx ends has done what it had to do in this generation; the next
// one calls its own. If the successor dies and this generation serves again, run is called
// again. Options.OnResume is not needed for that.
//
// name is of ASCII letters, digits, _ and -, and of at most 64 bytes. Another name is an error,
// and so is that of an earlier call, see [ErrOnlyInUse]. Generations know a run by its name.
//
// What keeps them apart is the lock of the file PIDFILE.NAME.only, which only the daemon's user
// can open. The kernel frees it when a process ends, and the file is removed when run has
// returned. If somebody removes it before, a second run may begin. If it cannot be made, the log
// says why, and it is tried again. On platforms without upgrades there is no lock.
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

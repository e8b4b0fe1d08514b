package gozd

import (
	"errors"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/engine"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// ErrNotDaemonized is returned by the package's functions before Daemonize has
// been called.
var ErrNotDaemonized = errors.New("gozd: Daemonize has not been called")

// ErrUnknownGroup is returned by Listen and RegistHandler for a group that the
// configuration does not have. The error's text names those that it has.
var ErrUnknownGroup = engine.ErrUnknownGroup

// ErrGroupInUse is returned by Listen and RegistHandler for a group that has a
// listener or a handler already.
var ErrGroupInUse = engine.ErrGroupInUse

// ErrMode is returned by Listen for a group of mode udp, by ListenPacket for one of any other mode, and by RegistHandler for
// mode udp, which takes no handler.
var ErrMode = engine.ErrMode

// ErrOnlyInUse is returned by Only for the name of an earlier call.
var ErrOnlyInUse = engine.ErrOnlyInUse

// ErrReplaced is why the context of a run of [Only] has ended after an upgrade, by
// context.Cause. At a stop or a quit that is context.Canceled.
var ErrReplaced = engine.ErrReplaced

// ErrHandlerType is returned by RegistHandler for a handler whose type does not
// fit the group's mode.
var ErrHandlerType = errors.New("wrong type of handler")

// ErrNotServing is returned by Upgrade in a generation that is not ready yet, is
// draining, or has been asked to stop.
var ErrNotServing = engine.ErrNotServing

// ErrNotSupported is returned by Upgrade on platforms that cannot pass sockets
// to a new process, such as Windows.
var ErrNotSupported = engine.ErrNotSupported

// UpgradeError is the error of Upgrade where a new process failed, or the program refused. This generation serves on, as if nothing had
// happened; at the stage "serving" it serves again, and at "lost" nobody serves.
type UpgradeError struct {
	// Stage is how far the upgrade got: "refused" by Options.OnUpgrade, or because of max_generations; "start",
	// "configuration", "listen", "ready" and "probation" in the new process; "serving" where that had taken over, and died;
	// "lost" where this generation could not serve again then, and nobody serves.
	Stage string
	PID   int   // of the process that failed; 0 if none was started
	Err   error // the reason, in the words of the process that failed, where it had any
}

// Error implements error.
func (e *UpgradeError) Error() string { return (*upgrade.Error)(e).Error() }

// Unwrap returns Err.
func (e *UpgradeError) Unwrap() error { return e.Err }

// ErrWatched is wrapped by the error of Upgrade in a process that somebody watches, such as systemd or a container runtime, and
// that has no supervisor: the service would end with it. The error's text says who, and what to do.
var ErrWatched = engine.ErrWatched

// ErrNoProbation is returned by Rollback when no upgrade is on probation.
var ErrNoProbation = engine.ErrNoProbation

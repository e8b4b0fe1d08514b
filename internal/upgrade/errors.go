package upgrade

import (
	"errors"
	"fmt"
)

// ErrNotSupported is returned by Upgrade on platforms that cannot pass sockets
// to a new process.
var ErrNotSupported = errors.New("upgrade: not supported on this platform")

// errNotOurs is why an upgrade fails to a program that uses tableflip without gozd.
var errNotOurs = errors.New("it is ready without having said so: it is no program with gozd; this process serves on, but can be upgraded no more")

// The stages at which an upgrade can fail.
const (
	StageRefused       = "refused"       // the program that serves does not want to be replaced now; nothing was started
	StageStart         = "start"         // the process could not be started, or died before it said anything
	StageConfiguration = "configuration" // its configuration is bad
	StageListen        = "listen"        // it could not claim a group's socket
	StageReady         = "ready"         // it did not become ready in time
	StageProbation     = "probation"     // it did not pass its probation
	StageServing       = "serving"       // it had taken over, and died; this process has stood by
	StageLost          = "lost"          // it had taken over, and died; this process could not stand by, and nobody serves
)

// StageDryRun is said by a successor that was started for a dry run and is ready: it ends.
const StageDryRun = "dry run"

// ErrDryRun is why such a successor ends.
var ErrDryRun = errors.New("the dry run is over: it could serve")

// Error says why an upgrade failed. The generation that asked for it still
// serves, as if nothing had happened.
type Error struct {
	Stage string // one of the Stage constants
	PID   int    // of the process that failed; 0 if there was none
	Err   error  // the reason, in the words of the process that failed or refused, where it had any
}

// Error implements error.
func (e *Error) Error() string {
	if e.Stage == StageRefused {
		return fmt.Sprintf("upgrade refused: %v", e.Err)
	}
	if e.PID == 0 {
		return fmt.Sprintf("upgrade failed at %s: %v", e.Stage, e.Err)
	}
	return fmt.Sprintf("upgrade failed at %s: pid %d: %v", e.Stage, e.PID, e.Err)
}

// Unwrap returns the reason.
func (e *Error) Unwrap() error { return e.Err }

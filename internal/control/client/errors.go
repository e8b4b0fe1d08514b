package client

import (
	"errors"
	"fmt"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// ErrNoSocket means that the daemon runs, and has no control socket: its platform has none, it could not make one, which
// its log says, or somebody has removed it. The error's text has the path at which the socket would be.
var ErrNoSocket = errors.New("no control socket")

// errClosed is the case of a socket on which nobody listens any more: its process is about to end, as one that has been killed, and that
// takes a busy machine a moment.
var errClosed = fmt.Errorf("%w: nobody listens there any more", ErrNoSocket)

// errAnother is the case of a file at the path that is no socket.
var errAnother = fmt.Errorf("%w: what is there is another file", ErrNoSocket)

// ErrPermission means that the daemon is another user's.
var ErrPermission = errors.New("no permission to control the daemon")

// ErrProtocol means that what answers on the socket speaks another language than
// this package: a version of gozd from after a change of the protocol.
var ErrProtocol = errors.New("the daemon speaks another protocol")

// ErrUnknownOutcome means that a stream ended, or ctx did, before the daemon had
// said how it went. It may still succeed.
var ErrUnknownOutcome = errors.New("the outcome is not known")

// ErrReplaced means that a generation which was asked to end had been replaced before, and has only been hurried: whoever has asked finds nobody any
// more by its PID file, and may not take that for the daemon's end.
var ErrReplaced = errors.New("it had been replaced before")

// MovedError says that no generation serves by a PID file any more, since an upgrade has moved it. It is [ErrReplaced], and wraps
// process.ErrNotRunning.
type MovedError struct {
	PIDFile, To string
}

// Error implements error.
func (e *MovedError) Error() string {
	return fmt.Sprintf("%s: %v: an upgrade has moved the PID file to %s", e.PIDFile, process.ErrNotRunning, e.To)
}

// Unwrap returns process.ErrNotRunning.
func (e *MovedError) Unwrap() error { return process.ErrNotRunning }

// Is reports whether target is [ErrReplaced].
func (e *MovedError) Is(target error) bool { return target == ErrReplaced }

// AnswerError is a refusal, in the daemon's words.
type AnswerError struct {
	PID    int // of the generation that was asked
	Answer protocol.Answer
}

// Error implements error.
func (e *AnswerError) Error() string { return fmt.Sprintf("pid %d: %s", e.PID, e.Answer.Error) }

// Is reports whether target is [ErrPermission] and that is what the answer means.
func (e *AnswerError) Is(target error) bool {
	return target == ErrPermission && e.Answer.Code == protocol.CodeForbidden
}

// The stages of package upgrade that are told in other words.
const (
	stageRefused = "refused" // the program itself does not want to be replaced now
	stageServing = "serving" // the new process had taken over before
	stageLost    = "lost"    // and nobody serves, or somebody else
)

// UpgradeError says that an upgrade failed. Nothing has changed, and the generation that was
// asked for it serves on, or again, unless the daemon has been asked to end meanwhile, or nobody serves: see Serves.
type UpgradeError struct {
	PID        int // of the generation that was asked
	Generation int // the same; 0 where its number is not known

	Stage  string // as in upgrade.Error; empty where the upgrade was cut short by a stop
	Failed int    // PID of the process that failed; 0 if there was none
	Reason string // in the words of the process that failed, or refused
	By     int    // PID of a process that serves and has nothing to do with it; 0 if there is none
}

// Serves reports whether the generation that was asked serves on, or again.
func (e *UpgradeError) Serves() bool { return e.Stage != "" && e.Stage != stageLost }

// Remains says who serves now, in words: the generation that was asked. Where the upgrade was cut short by a stop, it is empty.
func (e *UpgradeError) Remains() string {
	switch e.Stage {
	case "":
		return ""
	case stageLost:
		if e.By != 0 {
			return fmt.Sprintf("pid %d serves", e.By)
		}
		return "nobody serves"
	case stageServing:
		return fmt.Sprintf("pid %d serves again", e.PID)
	}
	return fmt.Sprintf("pid %d serves on", e.PID)
}

// Error implements error.
func (e *UpgradeError) Error() string {
	switch {
	case e.Stage == "":
		return "upgrade given up: " + e.Reason
	case e.Stage == stageRefused:
		return "upgrade refused: " + e.Reason
	case e.Failed == 0:
		return fmt.Sprintf("upgrade failed at %s: %s", e.Stage, e.Reason)
	}
	return fmt.Sprintf("upgrade failed at %s: pid %d: %s", e.Stage, e.Failed, e.Reason)
}

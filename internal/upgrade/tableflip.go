package upgrade

import (
	"errors"
	"math"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/cloudflare/tableflip"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/early"
)

// This file has all that is known of tableflip: what is needed of it, the environment's mark, its descriptors, and its errors, which it
// has as texts only. What stands here of its insides is of v1.2.3. The version is pinned.

// tableflipUpgrader is what this package needs of tableflip.
type tableflipUpgrader interface {
	// AddFile has successors inherit f, from tableflipFilesFD on, in no order.
	AddFile(name string, f *os.File) error
	// Ready says that this process is ready: on tableflipReadyFD where it has a parent.
	Ready() error
	// Upgrade starts os.Args, and returns when that process is ready, which can be once only, or has failed.
	Upgrade() error
	// Stop kills the process that is being started, and refuses to start others. It may be called more than once.
	Stop()
}

// never is a time limit for tableflip that is none: it would kill a successor that serves.
const never = time.Duration(math.MaxInt64)

// newTableflip has tableflip see in the environment what was there when this process was started, and nothing of it later. It kills a
// successor that is not ready after limit. The error is ErrNotSupported where it does not work.
func newTableflip(limit time.Duration) (tableflipUpgrader, error) {
	mark := early.Successor.Take()
	if mark != "" {
		if err := os.Setenv(early.SuccessorEnv, mark); err != nil {
			return nil, err
		}
		defer func() { _ = os.Unsetenv(early.SuccessorEnv) }()
	}
	tf, err := tableflip.New(tableflip.Options{UpgradeTimeout: limit})
	if errors.Is(err, tableflip.ErrNotSupported) {
		return nil, ErrNotSupported
	}
	if err != nil {
		return nil, err
	}
	return tf, nil
}

// The descriptors of a process that tableflip has started: its two pipes (parent.go), and what it has inherited (child.go). A test upgrades a
// daemon whose ancestors live on: it fails when these facts change.
const (
	tableflipReadyFD = 3 // written when the child is ready
	tableflipNamesFD = 4 // names of the inherited files, then open until the parent's death
	tableflipFilesFD = 5 // the first of the inherited files
)

// notifyReady is the byte that tableflip writes (parent.go).
const notifyReady = 42

// noNames is what newParent wants to read where no files are inherited (parent.go).
var noNames = [][]string{}

// isTimeout recognises tableflip's own time limit (upgrader.go).
func isTimeout(err error) bool { return err != nil && strings.HasSuffix(err.Error(), " timed out") }

// isUnsettled recognises the two errors with which tableflip refuses an upgrade, without having done anything (upgrader.go).
func isUnsettled(err error) bool {
	return err != nil && (err.Error() == "process is not ready yet" || err.Error() == "parent hasn't exited")
}

// isBusy recognises tableflip's text for a binary that is open for writing (process.go).
func isBusy(err error) bool {
	return err != nil && strings.HasSuffix(err.Error(), ": "+syscall.ETXTBSY.Error())
}

// hits are HUP and USR1 as tableflip names them.
var hits = []string{"hangup", "user defined signal 1"}

// isHit recognises a successor that was ended by a signal which asks a daemon for something else.
func isHit(err error) bool {
	return err != nil && slices.ContainsFunc(hits, func(signal string) bool {
		return strings.HasSuffix(err.Error(), " exited: signal: "+signal)
	})
}

// isIncomplete recognises the end of a process whose program is not whole: the system starts a part of one, too.
func isIncomplete(err error) bool {
	text := err.Error()
	return strings.HasPrefix(text, "child ") && (strings.Contains(text, ": signal: segmentation fault") || strings.Contains(text, ": signal: bus error"))
}

// refusals are the errors with which the system refuses to start a binary because of
// what that is. Others, such as too many processes, say nothing about it.
var refusals = []syscall.Errno{syscall.ENOENT, syscall.EACCES, syscall.EISDIR, syscall.ENOEXEC, syscall.ETXTBSY}

// refusal returns which of these has kept tableflip from starting a process. It has the cause at the end of its own text (child.go and
// process.go).
func refusal(err error) (errno syscall.Errno, refused bool) {
	text := err.Error()
	if !strings.HasPrefix(text, "can't start child: ") {
		return 0, false
	}
	for _, errno := range refusals {
		if strings.HasSuffix(text, ": "+errno.Error()) {
			return errno, true
		}
	}
	return 0, false
}

// isCleanExit recognises a successor that has ended with status 0 (upgrader.go).
func isCleanExit(err error) bool { return strings.HasSuffix(err.Error(), " exited") }

// exitCause is how a successor has ended (process.go and upgrader.go).
func exitCause(err error) string {
	if _, text, ok := strings.Cut(err.Error(), " exited: "); ok {
		return text
	}
	return "exit status 0"
}

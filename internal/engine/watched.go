package engine

import (
	"fmt"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// findWatcher looks whether somebody would take the end of this process for the daemon's, and there is no supervisor in
// front of it. Then an upgrade would end the service a moment after it has succeeded, so there is none: the first
// generation refuses it.
func (e *Engine) findWatcher() {
	if e.super != nil || e.Generation() > 1 {
		return
	}
	if e.watcher = process.Watcher(); e.watcher != "" {
		e.log.Warn("upgrades will be refused", "error", e.refusal())
	}
}

// refusal is why this process is not upgraded; nil if it is.
func (e *Engine) refusal() error {
	if e.watcher == "" {
		return nil
	}
	return &upgrade.Error{Stage: upgrade.StageRefused, Err: fmt.Errorf("%w: %s; %s", ErrWatched, e.watcher, e.wayOut())}
}

func (e *Engine) wayOut() string {
	if e.endProcess {
		return `remove "supervise no" from the configuration, and start it with -f`
	}
	return "a program that calls New has no supervisor: call Daemonize instead, and start it with -f"
}

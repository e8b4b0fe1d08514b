package gozd

import (
	"fmt"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// findWatcher looks whether somebody would take the end of this process for the daemon's, and there is no supervisor in
// front of it. Then an upgrade would end the service a moment after it has succeeded, so there is none: the first
// generation refuses it.
func (d *Daemon) findWatcher() {
	if d.super != nil || d.Generation() > 1 {
		return
	}
	if d.watcher = process.Watcher(); d.watcher != "" {
		d.log.Warn("upgrades will be refused", "error", d.refusal())
	}
}

// refusal is why this process is not upgraded; nil if it is.
func (d *Daemon) refusal() error {
	if d.watcher == "" {
		return nil
	}
	return &upgrade.Error{Stage: upgrade.StageRefused, Err: fmt.Errorf("%w: %s; %s", ErrWatched, d.watcher, d.wayOut())}
}

func (d *Daemon) wayOut() string {
	if d.endProcess {
		return `remove "supervise no" from the configuration, and start it with -f`
	}
	return "a program that calls New has no supervisor: call Daemonize instead, and start it with -f"
}

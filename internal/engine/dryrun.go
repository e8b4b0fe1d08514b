package engine

import (
	"encoding/json"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// dryRun shows whether an upgrade would fail. begin is called by the generation that serves, end in the one that it has started.
type dryRun struct{ *Engine }

// begin starts the newest binary as Engine.upgrade does, and lets it end when it is ready. This generation serves on, moves no connection,
// counts nothing, and asks no older one to end. It waits for an upgrade in progress, and the next upgrade waits for it.
func (d dryRun) begin(notify func(protocol.Event)) error {
	e := d.Engine
	u := &upgrading{Engine: e, a: &attempt{asked: time.Now(), notify: notify}}
	defer e.attempts.begin(u.a, e.up.Next)()
	if !e.life.is(serving) {
		return ErrNotServing
	}
	if !e.up.Supported() {
		return ErrNotSupported
	}
	u.t = e.life.now()
	if err := u.try(); err != nil {
		if !e.life.is(serving) {
			return ErrNotServing // a stop has cut it short
		}
		e.log.Warn("the dry run failed: so would an upgrade", "error", err)
		return err
	}
	took := time.Since(u.a.began)
	e.log.Info("the dry run passed", "successor", u.a.next.PID, "took", took.Round(time.Millisecond))
	notify(protocol.Event{Type: protocol.Passed, Generation: u.a.next.Generation, PID: u.a.next.PID, Seconds: took.Seconds()})
	return nil
}

// try returns no error if the successor was ready. It has ended.
func (u *upgrading) try() error {
	if err := u.super.refusal(); err != nil {
		return err
	}
	defer u.fds.lend()()
	if err := u.hooks.mayUpgrade(u.t.serves); err != nil {
		return err
	}
	offered := &transfer{Engine: u.Engine}
	defer offered.rollback()
	return u.up.DryRun(func() (json.RawMessage, error) {
		offered.offer()
		return payload(u.Engine, append(u.ancestors.living(), u.self), earlierUpgrades{})
	}, u.watcher())
}

// end ends a generation that was started for a dry run: it is ready.
func (d dryRun) end() {
	if _, ends := d.life.on(startFailed); ends {
		d.log.Debug("ready: the dry run is over")
		d.endFailed(upgrade.StageDryRun, upgrade.ErrDryRun)
	}
}

package upgrade

import (
	"encoding/json"
	"errors"
	"maps"
	"os"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fault"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// Check reports whether the next generation could be told what it has to know: a
// configuration with more sockets than fit into a message would fail every upgrade,
// and that is better known at the start.
func (u *Upgrader) Check(payload json.RawMessage) error {
	if u.tf == nil {
		return nil
	}
	_, err := encodeMessage(u.nextManifest(payload), []string{fileReport, fileAsk, fileStandby}, 0)
	return err
}

// nextManifest is what the next generation is told.
func (u *Upgrader) nextManifest(payload json.RawMessage) Manifest {
	return Manifest{
		Version:    manifestVersion,
		Generation: u.succession.next(),
		Timeout:    u.opts.timeout(),
		Probation:  max(u.opts.Probation, 0),
		Sockets:    u.outgoing.all(),
		Namespaces: process.Namespaces(),
		Payload:    payload,
	}
}

// Upgrade starts the newest binary as the next generation and waits until it is
// ready. It calls prepare once, before the new process is started, so files may be passed there. prepare returns the payload of that
// process's manifest. After nil this process is no longer the
// one that serves: it must stop accepting and drain, and no further Upgrade
// succeeds, unless the successor dies while this process stands by.
//
// watch is told in another goroutine when the successor runs, and when it has begun to serve on
// probation, beside this process.
//
// A failure is an *[Error], and the new process has ended or has been killed when
// Upgrade returns.
// Only one upgrade runs at a time; a second call waits for the first.
func (u *Upgrader) Upgrade(prepare func() (payload json.RawMessage, err error), watch Watcher) (*Successor, error) {
	return u.upgrade(u.nextManifest, prepare, watch)
}

// DryRun starts the newest binary as Upgrade does, but that process ends when it is ready, and this one serves on whatever happens. The
// error is nil if it was ready.
func (u *Upgrader) DryRun(prepare func() (payload json.RawMessage, err error), watch Watcher) error {
	manifest := func(payload json.RawMessage) Manifest {
		m := u.nextManifest(payload)
		m.Version, m.DryRun = dryRunVersion, true
		return m
	}
	_, err := u.upgrade(manifest, prepare, watch)
	if failed := (*Error)(nil); errors.As(err, &failed) && failed.Stage == StageDryRun {
		return nil
	}
	if err == nil {
		err = &Error{Stage: StageReady, Err: errNotOurs} // no program with gozd takes over then
	}
	return err
}

func (u *Upgrader) upgrade(manifest func(json.RawMessage) Manifest, prepare func() (json.RawMessage, error), watch Watcher) (*Successor, error) {
	if u.tf == nil {
		return nil, ErrNotSupported
	}
	u.upgrading.Lock()
	defer u.upgrading.Unlock()

	fault.At(fault.BeforeFork)
	u.bootstrap.empty() // before there is somebody who could read what an earlier successor left
	giveBack := u.command.lend()
	defer giveBack()
	d, err := u.send(manifest, prepare, lends(watch, giveBack))
	if err != nil {
		return nil, &Error{Stage: StageStart, Err: err}
	}
	defer d.end()
	u.succession.offer(d.standby)
	defer u.succession.offer(nil)
	a := &attempt{
		opts: &u.opts, tf: u.tf, bootstrap: u.bootstrap, succession: &u.succession, stderr: &u.stderr,
		binary: u.command.binary(), dialogue: d, from: u.stderr.size(), ended: make(chan error, 1),
		patience: patience{opts: &u.opts},
	}
	if err := a.run(); err != nil {
		u.parent.behind.say(saysNoHeir)
		return nil, err
	}
	u.stderr.leave()
	next, err := u.committed(d)
	if err == nil && u.succession.standsBy() {
		next.Outcome = a.follow(next.PID)
	}
	return next, err
}

// send puts all that the successor must know into the bootstrap channel. An error leaves nothing open.
func (u *Upgrader) send(
	manifest func(json.RawMessage) Manifest, prepare func() (json.RawMessage, error), watch Watcher,
) (*dialogue, error) {
	payload, err := prepare()
	if err != nil {
		return nil, err
	}
	d, theirs, err := newDialogue(u.opts.standsBy())
	if err != nil {
		return nil, err
	}
	err = u.sendMessage(manifest(payload), theirs)
	for _, f := range theirs {
		_ = f.Close() // the copy in the bootstrap channel is the successor's
	}
	if err != nil {
		u.bootstrap.empty()
		d.abandon()
		return nil, err
	}
	go d.read(d.identify(watch))
	fault.At(fault.Told)
	return d, nil
}

// sendMessage sends the bootstrap message, with what is passed on to every successor, the channel to who stands by behind this process, and
// the ends of this upgrade's channels.
func (u *Upgrader) sendMessage(manifest Manifest, theirs map[string]*os.File) error {
	return u.parent.behind.passOn(func(older *os.File) error {
		return u.outgoing.send(func(files map[string]*os.File, sockets map[string]int) error {
			if older != nil {
				files[fileOlder] = older
			}
			maps.Copy(files, theirs)
			return u.bootstrap.send(manifest, files, sockets)
		})
	})
}

// committed returns the successor, which has said all that it had to say before it took over. One that has said nothing is no program with gozd but one with tableflip alone: it knows nothing of
// the groups, so this process had better go on. tableflip upgrades no more after that.
//
// The sockets that it has not taken over are closed here, and all of them where this process does not stand by. A process that
// has not all of its groups any more does not.
func (u *Upgrader) committed(d *dialogue) (*Successor, error) {
	out := d.words()
	if !u.succession.standsBy() {
		d.standby.release() // one that is not gozd's, or of an older version
	}
	if !out.Ready {
		return nil, &Error{Stage: StageReady, PID: out.PID, Err: errNotOurs}
	}
	next := &Successor{
		PID: out.PID, PIDFile: out.PIDFile, Generation: u.succession.newest(), Dropped: u.outgoing.dropped(out.Kept),
		ReportEnded: d.reported, dialogue: d,
	}
	if !u.succession.standsBy() || len(next.Dropped) > 0 {
		u.EndStandby()
	}
	return next, nil
}

package gozd

import (
	"context"
	"errors"
	"net"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/engine"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// Daemon is one generation of a daemon: the sockets of its groups, and its way
// from the start to the exit. Its methods are safe for concurrent use. There can
// be one in a process.
type Daemon struct{ engine *engine.Engine }

// New makes this process a daemon by the configuration, like [Daemonize] but
// without flags, detaching and exiting: errors are returned, and who starts the
// process keeps it in the foreground. It handles the signals HUP, TERM, INT, QUIT
// and USR1 from then on.
//
// The error is a cfg.Errors for a bad configuration, and otherwise wraps the
// cause. When it is not nil, nothing is left behind.
//
// A process calls New or Daemonize, and once: another call fails.
// Where somebody watches the process, such as systemd, a daemon of New refuses to be upgraded: it has no supervisor, and the
// service would end with it. See [ErrWatched].
func New(opts Options) (*Daemon, error) { return newDaemon(opts, false) }

func newDaemon(opts Options, endProcess bool) (*Daemon, error) {
	opts.Config = opts.config()
	e, err := engine.New(engine.Options(opts), endProcess)
	if err != nil {
		return nil, err
	}
	return &Daemon{e}, nil
}

// Exit returns the channel that asks the program to end. It delivers one value
// when this generation has nothing left to do, waits at most a second for it to
// be received, and is closed then. A second later Accept on the group's listeners
// returns, so that what waits for a Serve to return can end too.
func (d *Daemon) Exit() <-chan struct{} { return d.engine.Exit() }

// Err returns why this generation ended, once Exit is closed: nil after an
// upgrade or a stop, and otherwise the reason for which it never became ready.
func (d *Daemon) Err() error { return d.engine.Err() }

// Generation returns the number of this process in the line of generations,
// from 1.
func (d *Daemon) Generation() int { return d.engine.Generation() }

// PIDFile returns the absolute path of the PID file.
func (d *Daemon) PIDFile() string { return d.engine.PIDFile() }

// Listen returns the listener of a group, as the package's [Listen] does.
func (d *Daemon) Listen(group string) (net.Listener, error) { return d.engine.Listen(group) }

// ListenPacket returns the socket of a group of mode udp, as the package's [ListenPacket] does.
func (d *Daemon) ListenPacket(group string) (net.PacketConn, error) {
	return d.engine.ListenPacket(group)
}

// Only calls run in one generation at a time, as the package's [Only] does.
func (d *Daemon) Only(name string, run func(ctx context.Context)) error {
	return d.engine.Only(name, run)
}

// Ready says that the program has warmed up and is ready to serve, in a program
// that has set Options.ManualReady. It returns when this process serves, be it on
// probation, or an error when it cannot: then this generation ends, as one does that is not ready in time. In other programs, and when called again, it does nothing.
// Groups that nobody accepts on yet are no obstacle: their clients wait.
func (d *Daemon) Ready() error { return d.engine.Ready() }

// Upgrade starts the newest binary with the newest configuration as the next
// generation, and returns when that one serves. Then this generation drains, and
// Exit will ask the program to end. Should the new generation die while this one drains, this one serves again, and can be
// upgraded again; see Options.OnResume. If that happens before everybody could know of the new one, it is an error.
//
// When it fails, the error is an *[UpgradeError] that says why, and this generation serves on as if nothing had happened, except at
// the stage "lost": then nobody serves. ErrNotServing is
// returned in a generation that does not serve, and ErrNotSupported where the
// platform cannot do it. Upgrades run one at a time; a call waits for the one
// before it, and fails with ErrNotServing if that one succeeded.
func (d *Daemon) Upgrade() error {
	err := d.engine.Upgrade()
	if failed := (*upgrade.Error)(nil); errors.As(err, &failed) {
		return (*UpgradeError)(failed)
	}
	return err
}

// Rollback ends the upgrade that is on probation, as a failed health check would: the
// new generation accepts nothing more, its idle connections come back, and it ends. It returns when that is so,
// and nil then. The error is [ErrNoProbation] if there is none, or not any more.
func (d *Daemon) Rollback() error { return d.engine.Rollback() }

// Stop accepts nothing more, lets requests finish for stop_timeout, and then asks
// the program to end. It returns at once. In a generation that drains already it
// shortens the time left. An upgrade in progress is given up.
func (d *Daemon) Stop() { d.engine.Stop() }

// Quit is Stop with drain_timeout.
func (d *Daemon) Quit() { d.engine.Quit() }

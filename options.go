package gozd

import (
	"cmp"
	"context"
	"crypto/tls"
	"log/slog"
)

// DefaultConfig is the configuration file of a program that names none.
const DefaultConfig = "app.conf"

// Options configure a [Daemon]. The zero value is valid.
type Options struct {
	// Config is the path of the configuration file. If empty, DefaultConfig in
	// the working directory is used.
	Config string

	// Logger receives gozd's own log. If nil, it goes to standard error, one
	// line a message, those of errors marked [GOZDERR] and the rest [GOZD].
	// Details have the level slog.LevelDebug.
	Logger *slog.Logger

	// Verbose logs details too (slog.LevelDebug), where Logger is nil.
	// Otherwise the log has what an operator looks for after a deploy: each
	// generation that serves and that is done, what the daemon was asked,
	// warnings and errors.
	Verbose bool

	// ManualReady keeps the process from becoming ready by itself when all
	// groups are accepted on. The program calls Ready when it has warmed up.
	ManualReady bool

	// OnUpgrade, if non-nil, is called in the generation that serves before each
	// upgrade: may it be replaced now? With an error it says no. Then nothing is
	// started, Upgrade and whoever else has asked get the error's text, and the
	// upgrade counts as failed. After nil the upgrade can still fail, and nothing
	// says so to the program: what is only right once there is a successor belongs
	// in OnReplaced.
	//
	// It runs in a goroutine of its own, and the upgrade waits for it. ctx ends
	// after upgrade_timeout, and when the daemon is asked to end. Nobody waits
	// longer than that: an upgrade whose hook has not returned by then has failed,
	// and a stop goes on. There is never a second call before the first has
	// returned; upgrades that are asked for meanwhile wait for it too, and fail
	// in the same way.
	OnUpgrade func(ctx context.Context) error

	// OnReplaced, if non-nil, is called in a goroutine of its own when the
	// successor serves and this generation accepts no more. Here it lets go of what
	// only one process can have, such as a locked file, since draining may take
	// long. The program still has to answer what comes in on the connections that
	// are open, so a server is not shut down here but in OnDrain. It is not called at a stop. The exit channel waits for its return
	// as for a connection: for the longest drain_timeout of all groups at most, and
	// for the longest stop_timeout once this generation is asked to stop.
	//
	// A generation that serves again, see OnResume, is replaced again by the next upgrade, and told again.
	OnReplaced func()

	// OnDrain, if non-nil, is called in a goroutine of its own each time this generation drains: after an upgrade, at a stop and at
	// a quit. Here a program shuts down its own servers, of which gozd sees only the connections: fasthttp, gRPC, plain net/http.
	// It is called two seconds after the last client was accepted, or earlier if all connections are gone, and never before a generation has stood
	// by for three seconds after it was replaced: a server that is told to shut
	// down drops a request that it has not read yet. For the same reason neither OnReplaced nor Conn.Draining is the moment for it.
	// The exit channel waits for its return as for that of OnReplaced.
	//
	// A Shutdown closes the group's listener. Such a generation serves again only if OnResume takes the group anew, by Listen, which
	// returns ErrGroupInUse for a group that is not closed.
	OnDrain func()

	// OnResume is the way back from OnReplaced and OnDrain: the successor has died without having been asked to end, while this generation
	// still drains, and this one is to serve again, so that somebody does. Here the program takes back what it has let go
	// of, and a group whose listener it has closed. It is called in a goroutine of its own, when that process is gone and both hooks have returned, and before anything is
	// accepted: clients wait meanwhile. ctx ends after upgrade_timeout, which is the time for both, or when this generation is asked to
	// stop, and nobody waits longer. With an error, or if it is late, this generation goes on to drain and ends, and nobody serves.
	//
	// A program that sets OnReplaced without OnResume cannot serve again. One that sets neither needs nothing for it.
	OnResume func(ctx context.Context) error

	// OnParentExit, if non-nil, is called once, in a goroutine of its own, when this
	// generation is ready and the process before it is gone, with all that it held.
	// In a first generation, which has none before it, that is right after ready.
	//
	// Only the direct predecessor is waited for, for as long as it drains. Older
	// generations may live even longer; each is told by OnReplaced to let go. A
	// generation that has itself been replaced meanwhile is called too, as it may
	// have requests that wait for this; one that ends before its predecessor is
	// not. Nothing waits for the hook to return.
	OnParentExit func()

	// HealthCheck, if non-nil, is called once in a new generation, at the end of
	// its probation, in a goroutine of gozd's: it has been serving beside its
	// predecessor, and clients have found it well or not. An error, or none within
	// upgrade_timeout, when ctx ends, rolls the upgrade back: the generation accepts nothing more, its idle
	// connections move back, and it ends; the predecessor goes on alone. Without
	// probation in the configuration, and in a first generation, it is not called.
	HealthCheck func(ctx context.Context) error

	// OnReopen, if non-nil, is called when the daemon is asked to reopen its
	// log (SIGUSR1, or gozdctl reopen), after gozd has reopened its own. There is never a second call before the first has
	// returned; requests that come meanwhile are one more.
	OnReopen func()

	// TLS, if non-nil, is called in each generation once for each group of mode https, before Daemonize or New returns and before the
	// process becomes the configured user. base is what gozd would use: the key pairs and client_ca of the configuration, TLS 1.2 at
	// least, and the protocols of http2. TLS returns base, changed or not, a configuration of its own, such as one with GetCertificate,
	// ClientCAs or MinVersion, or nil, which means base. gozd uses a clone of the result, in which it sets the keys of session
	// tickets; httpx takes protocols out of NextProtos that its server does not serve. A program that has TLS needs no key and cert in
	// the configuration; a result without certificates and without a way to them is then an error of Daemonize or New.
	//
	// Certificates and ClientCAs that are still those of base are renewed with the files. What the program puts there, or reads in
	// GetCertificate, is its own to renew.
	TLS func(group string, base *tls.Config) *tls.Config
}

func (o *Options) config() string { return cmp.Or(o.Config, DefaultConfig) }

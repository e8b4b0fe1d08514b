// Package gozd lets a network daemon replace its own binary while it serves,
// and no client notices. A service calls [Daemonize], swaps net.Listen for
// [Listen], and serves by package httpx, fcgix or tcpx, which move idle connections to the new process:
//
//	func main() {
//		exit := gozd.Daemonize()      // flags -s -c -f -v -t, configuration, PID file, signals
//		ln, err := gozd.Listen("web") // was: net.Listen("tcp", ":8080")
//		if err != nil {
//			log.Fatal(err)
//		}
//		go func() { log.Print(httpx.Serve(ln, router)) }() // was: http.Serve(ln, router)
//		<-exit // the daemon asks the program to end; clean up and return
//	}
//
// From then on SIGHUP, or "gozdctl upgrade", starts the newest binary on the same
// sockets. When it is ready this process accepts nothing more, lets what is open
// finish, and asks the program to end.
//
// With http.Serve, fcgi.Serve or an accept loop no request is lost either, but connections stay in the old process until
// they end, or are cut at the end of drain_timeout.
//
// # Groups
//
// The configuration has one section for each group: a mode, an address and
// options. A program takes each group once, by Listen or by [RegistHandler]. The
// process is ready when all groups are taken and accepted on; until then no
// connection is accepted, and an upgrade that does not get that far changes
// nothing.
//
// # Exiting
//
// The channel that Daemonize returns delivers one value when this process has
// nothing left to do, and is closed then. A program that does not receive it
// within a second is ended with status 0. While a generation drains, Accept on
// its listeners does not return, so that
// log.Fatal(http.Serve(ln, h)) does not kill what is still being served.
//
// # In front
//
// Where somebody watches the first process, be it systemd, a container runtime or
// a person at a terminal, that process stays through all upgrades. With -f, and
// wherever the configuration says "supervise yes", it is a supervisor: Daemonize
// does not return in it, and generation 1 is its child. "supervise no" is for
// debuggers: the process that they hold is generation 1. All of this needs Linux.
//
// The package's functions act on one Daemon, which Daemonize makes. Programs with
// flags of their own call [Run] instead, and those with exit statuses of their own [New].
package gozd

import (
	"cmp"
	"context"
	"net"
	"os"
	"sync/atomic"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/command"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/listen"
)

// Conn is a connection of a group. See [listen.Conn] for its contract.
type Conn = listen.Conn

// Defaults are the Options that [Daemonize] starts from. A program changes them
// before it calls Daemonize; the flags take precedence.
var Defaults Options

// std is the daemon of the package's functions.
var std atomic.Pointer[Daemon]

// Default returns the Daemon of the package's functions, and nil before [Daemonize] has returned. By it a program reaches
// what has no function of its own: Upgrade, Rollback, Stop, Quit, Err and PIDFile.
func Default() *Daemon { return std.Load() }

// Daemonize makes this process a daemon as the command line says, and returns
// the channel that asks the program to end. It defines the flags -s, -c, -f, -v
// and -t on flag.CommandLine and parses that, unless it has been parsed; a
// program's own flags are defined before. An argument that is left over is a usage error. See [Run] for a program with a command line of its own.
//
// It does not return in a supervisor. Nor does it in the process that was started by hand: without -f that
// process starts the daemon, waits until it is ready, and exits with status 0; with
// -s or -t it does what these say. On a usage error it exits with status 2, and on
// any other error it prints it and exits with status 1.
//
// Call it once, as early as possible in main: signals are handled from then on. Each process of the daemon is started
// with the arguments that the first one was started with, also where the program has changed os.Args before, to take a
// command of its own off it for instance: it does so in each of them.
func Daemonize() <-chan struct{} {
	return begin(Command{}, (*command.Command).ParseFlags)
}

// Command is what a program's own command line says, for [Run]. The zero value starts the daemon in the background, by the configuration of
// [Defaults].
type Command struct {
	// Action is "start", "stop", "quit", "reopen" or "reload", as -s of Daemonize. If empty, it is "start".
	Action string

	// Config is the path of the configuration file. If empty, it is that of Defaults.
	Config string

	Foreground bool // stay in the foreground, as -f
	Verbose    bool // show details in gozd's own log, as -v; so does Verbose of Defaults
	Check      bool // test the configuration and exit, as -t, instead of the Action
}

// Run is [Daemonize] for a program with a command line of its own, by package flag or any other: it defines no flags and parses none.
// It returns, or exits, as Daemonize does. Each process of the daemon is started with the same arguments as the first one, and must come to
// the same call of Run by them. Call it once, as early as possible, and not Daemonize too.
func Run(c Command) <-chan struct{} { return begin(c, (*command.Command).Complete) }

func begin(c Command, complete func(*command.Command) error) <-chan struct{} {
	line := &command.Command{
		Action: c.Action, Config: cmp.Or(c.Config, Defaults.config()),
		Foreground: c.Foreground, Verbose: c.Verbose || Defaults.Verbose, Check: c.Check, OwnTLS: Defaults.TLS != nil,
	}
	var d *Daemon
	status := command.Do(line, process.Arguments()[0], func() error { return complete(line) }, func() (err error) {
		opts := Defaults
		opts.Config, opts.Verbose = line.Config, line.Verbose
		d, err = newDaemon(opts, true)
		return err
	})
	if d == nil {
		os.Exit(status)
	}
	std.Store(d)
	return d.Exit()
}

// Listen returns the listener of a group: for mode https one whose connections
// are *tls.Conn, for the others one whose connections are [Conn]. The socket was
// opened, or inherited, by Daemonize, so an error means that the group does not
// exist ([ErrUnknownGroup]), is in use ([ErrGroupInUse]), or has mode udp ([ErrMode]).
//
// Closing the listener is allowed and stops accepting on the group in this
// process only.
func Listen(group string) (net.Listener, error) {
	d := std.Load()
	if d == nil {
		return nil, ErrNotDaemonized
	}
	return d.Listen(group)
}

// ListenPacket returns the socket of a group of mode udp, a [listen.PacketConn]; with the address of an IP host a [listen.UDPConn].
// Each datagram is read by one generation: by the one that serves, however many are alive. Errors are those of Listen; in a group of another
// mode it is [ErrMode]. Closing the socket is allowed and ends reads on the group in this process only.
//
// A generation that drains can still write, and has a few seconds for what it has read: it stands by for three. After a stop nothing
// waits for a handler: wait for yours when Daemonize's channel delivers, and return then.
func ListenPacket(group string) (net.PacketConn, error) {
	d := std.Load()
	if d == nil {
		return nil, ErrNotDaemonized
	}
	return d.ListenPacket(group)
}

// RegistHandler serves a group with handler, as [Daemon.RegistHandler] does.
func RegistHandler(group, name string, handler any) error {
	d := std.Load()
	if d == nil {
		return ErrNotDaemonized
	}
	return d.RegistHandler(group, name, handler)
}

// Only calls run in one generation at a time, whatever becomes of the others. It is for a
// ticker, the one consumer of a queue, a file that only one process can have. It returns at
// once, and calls run in a goroutine of its own when
//
//   - this generation serves, so not yet during its probation, and
//   - no other generation is still in its run of this name.
//
// ctx ends when the successor serves, and when a stop or a quit begins. run returns soon after
// that, since the successor's run waits for it. A run that goes on keeps its process as a
// connection does: for the longest drain_timeout at most, or stop_timeout. Then the process
// ends, and the successor's run begins. At a stop requests may come in after ctx has ended, so
// a run that has what they need lets go of it only after [ErrReplaced].
//
// A run that returns before ctx ends has done what it had to do in this generation; the next
// one calls its own. If the successor dies and this generation serves again, run is called
// again. Options.OnResume is not needed for that.
//
// name is of ASCII letters, digits, _ and -, and of at most 64 bytes. Another name is an error,
// and so is that of an earlier call, see [ErrOnlyInUse]. Generations know a run by its name.
//
// What keeps them apart is the lock of the file PIDFILE.NAME.only, which only the daemon's user
// can open. The kernel frees it when a process ends, and the file is removed when run has
// returned. If somebody removes it before, a second run may begin. If it cannot be made, the log
// says why, and it is tried again. On platforms without upgrades there is no lock.
func Only(name string, run func(ctx context.Context)) error {
	d := std.Load()
	if d == nil {
		return ErrNotDaemonized
	}
	return d.Only(name, run)
}

// Ready says that the program is ready to serve. Only programs that set
// Defaults.ManualReady need it; see [Daemon.Ready].
func Ready() error {
	d := std.Load()
	if d == nil {
		return ErrNotDaemonized
	}
	return d.Ready()
}

// Generation returns the number of this process in the line of generations: 1
// for the first, and 0 before Daemonize.
func Generation() int {
	d := std.Load()
	if d == nil {
		return 0
	}
	return d.Generation()
}

package gozd

import (
	"context"
	"fmt"
	"os"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/activation"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/check"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/engine"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/groups"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/logging"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/printable"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/supervise"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// daemonize does what the command line says. It returns a daemon in the process
// that is to serve, and otherwise the status to exit with.
func daemonize(arg0 string, parse func(Options) (*arguments, error)) (*Daemon, int) {
	if engine.Made() { // before a process that was detached could detach again
		logging.PrintError(Defaults.Verbose, engine.ErrSecond)
		return nil, statusFailed
	}
	a, err := parse(Defaults)
	if err != nil {
		verbose := a != nil && a.verbose
		logging.PrintError(verbose, err)
		return nil, statusUsage
	}
	d, status, err := a.run(arg0)
	if err != nil {
		if err != engine.ErrPrinted { //nolint:errorlint // it is this very error
			logging.PrintError(a.verbose, err)
		}
		return nil, statusFailed
	}
	return d, status
}

// run returns a daemon, or nil and the status to exit with where the command is done.
func (a *arguments) run(arg0 string) (*Daemon, int, error) {
	switch {
	case a.test:
		return nil, statusOK, a.testConfig()
	case a.command != "start":
		return nil, statusOK, a.control()
	case a.foreground || process.IsDetached() || upgrade.IsSuccessor() || supervise.IsSupervised():
		conf, yes := a.wantsSupervisor()
		if conf != nil && conf.Daemon.Log != "" && a.foreground && process.InForeground() { // who types -f wants to see something
			a.say("its output goes to %s; without log in the configuration it comes here", conf.Daemon.Log)
		}
		if yes {
			status, err := a.supervise(arg0, conf)
			return nil, status, err
		}
		if !upgrade.IsSuccessor() { // what whoever has started this process has open is not for others
			process.CloseAllOnExec()
		}
		opts := Defaults
		opts.Config, opts.Verbose = a.config, a.verbose
		d, err := newDaemon(opts, true)
		return d, statusOK, err
	}
	return nil, statusOK, a.detach(arg0)
}

// detach starts the daemon in the background, and returns when it is ready.
func (a *arguments) detach(arg0 string) error {
	binary, err := process.FindBinary(arg0)
	if err != nil {
		return err
	}
	sockets, err := activation.Inherited()
	if err != nil {
		return err
	}
	log, becomes, where := "", (*process.Identity)(nil), ""
	if conf, err := groups.LoadConfig(a.config, nil, Defaults.TLS != nil); err == nil { // or the daemon says what is wrong with it
		log = conf.Daemon.Log
		becomes, _ = check.Identity(conf) // likewise
		where = whereItIs(&conf.Daemon)
	}
	pid, err := process.Detach(binary, log, becomes, func(first int) ([]*os.File, []string) { return activation.Pass(sockets, first) })
	if err != nil {
		return err
	}
	a.say("started, pid %d%s", pid, where)
	return nil
}

// whereItIs says what an operator looks for next.
func whereItIs(d *config.Daemon) string {
	output := "its output goes to " + d.Log
	if d.Log == "" {
		output = "its output goes nowhere, since the configuration names no log"
	}
	return fmt.Sprintf(": PID file %s; %s", d.PIDFile, output)
}

// isTerminal takes any character device for one.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// control acts on the daemon that runs by this configuration.
func (a *arguments) control() error {
	conf, err := config.Load(a.config, config.Options{AnySocket: true, OwnTLS: true})
	if err != nil {
		return err
	}
	ctx, pidfile := context.Background(), conf.Daemon.PIDFile
	if err := control.RunsBy(ctx, pidfile, conf.File, conf.Source); err != nil {
		return fmt.Errorf("%s: %w", a.command, err)
	}
	var pid int
	switch a.command {
	case "stop":
		pid, err = control.Stop(ctx, pidfile)
	case "quit":
		pid, err = control.Quit(pidfile)
	case "reopen":
		pid, err = control.Reopen(pidfile)
	case "reload":
		return a.reload(ctx, pidfile)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", a.command, err)
	}
	a.say("%s: done, pid %d", a.command, pid)
	return nil
}

// say tells what has been done to whoever asks for gozd's own log, or sits at a terminal and sees nothing else.
func (a *arguments) say(format string, args ...any) {
	if a.verbose || isTerminal(os.Stderr) {
		fmt.Fprintln(os.Stderr, logging.MarkLog+printable.Line(fmt.Sprintf(format, args...)))
	}
}

// testConfig says whether the configuration is good, key pairs included.
func (a *arguments) testConfig() error {
	conf, err := config.Load(a.config, config.Options{AnySocket: true, OwnTLS: Defaults.TLS != nil})
	if err != nil {
		return err
	}
	if err := check.Config(conf); err != nil {
		return err
	}
	fmt.Printf("%s: the configuration is good\n", printable.Line(conf.File))
	return nil
}

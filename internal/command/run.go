package command

import (
	"context"
	"fmt"
	"os"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/activation"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/check"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/engine"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/logging"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/printable"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/supervise"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// Do does what c says, once complete has completed it, and returns the status to exit with. In the process that is to serve it calls serve instead.
func Do(c *Command, arg0 string, complete, serve func() error) (status int) {
	if engine.Made() { // before a process that was detached could detach again
		logging.PrintError(c.Verbose, engine.ErrSecond)
		return statusFailed
	}
	if err := complete(); err != nil {
		logging.PrintError(c.Verbose, err)
		return statusUsage
	}
	status, err := c.do(arg0, serve)
	if err != nil {
		if err != engine.ErrPrinted { //nolint:errorlint // it is this very error
			logging.PrintError(c.Verbose, err)
		}
		return statusFailed
	}
	return status
}

func (c *Command) do(arg0 string, serve func() error) (status int, err error) {
	switch {
	case c.Check:
		return statusOK, c.testConfig()
	case c.Action != "start":
		return statusOK, c.control()
	case !upgrade.IsSuccessor() && !supervise.IsSupervised():
		first, err := c.look()
		if err != nil {
			return statusFailed, failed(err)
		}
		switch log := first.conf.Daemon.Log; {
		case !c.Foreground && !process.IsDetached():
			return statusOK, c.detach(arg0, first)
		case log != "" && c.Foreground && process.InForeground(): // who types -f wants to see something
			c.say("its output goes to %s; without log in the configuration it comes here", log)
		}
		if c.wantsSupervisor(first.conf) {
			return c.supervise(arg0, first)
		}
	}
	if !upgrade.IsSuccessor() { // what whoever has started this process has open is not for others
		process.CloseAllOnExec()
	}
	return statusOK, serve()
}

// detach starts the daemon in the background, and returns when it is ready.
func (c *Command) detach(arg0 string, first look) error {
	binary, err := process.FindBinary(arg0)
	if err != nil {
		return err
	}
	sockets, err := activation.Inherited()
	if err != nil {
		return err
	}
	pid, err := process.Detach(binary, first.conf.Daemon.Log, first.becomes, func(first int) ([]*os.File, []string) { return activation.Pass(sockets, first) })
	if err != nil {
		return err
	}
	c.say("started, pid %d%s", pid, whereItIs(&first.conf.Daemon))
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
func (c *Command) control() error {
	conf, err := config.Load(c.Config, config.Options{AnySocket: true, OwnTLS: true})
	if err != nil {
		return err
	}
	ctx, pidfile := context.Background(), conf.Daemon.PIDFile
	if err := control.RunsBy(ctx, pidfile, conf.File, conf.Source); err != nil {
		return fmt.Errorf("%s: %w", c.Action, err)
	}
	var pid int
	switch c.Action {
	case "stop":
		pid, err = stop(ctx, pidfile)
	case "quit":
		pid, err = control.Quit(pidfile)
	case "reopen":
		pid, err = reopen(ctx, pidfile)
	case "reload":
		return c.reload(ctx, pidfile)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", c.Action, err)
	}
	c.say("%s: done, pid %d", c.Action, pid)
	return nil
}

// say tells what has been done to whoever asks for gozd's own log, or sits at a terminal and sees nothing else.
func (c *Command) say(format string, args ...any) {
	if c.Verbose || isTerminal(os.Stderr) {
		fmt.Fprintln(os.Stderr, logging.MarkLog+printable.Line(fmt.Sprintf(format, args...)))
	}
}

// testConfig says whether the configuration is good, key pairs included.
func (c *Command) testConfig() error {
	conf, err := config.Load(c.Config, config.Options{AnySocket: true, OwnTLS: c.OwnTLS})
	if err != nil {
		return err
	}
	if err := check.Config(conf); err != nil {
		return err
	}
	fmt.Printf("%s: the configuration is good\n", printable.Line(conf.File))
	return nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"

	"github.com/spf13/cobra"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

const longRestart = `Stops the daemon as stop does, if one runs, and then starts the program as start does. Clients lose
their connections, and new ones are refused until the program serves. gozdctl upgrade loses none.

The PID file, or -c, before the two dashes says which daemon is meant. Without it the program's own
-c says so, or "./app.conf" if it has none. It is the program after the dashes that is started:
what the old daemon says about its own program is never run.

If the daemon cannot be stopped, or does not end in time, nothing is started, and the exit status is
that of stop. If a service manager runs the daemon, let that restart it: systemctl restart.`

// insteadOfRestart follows the error about a restart that names no program.
const insteadOfRestart = "; to replace the binary of a daemon that runs, without loss: gozdctl upgrade PIDFILE"

func restartCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "restart [" + aboutTarget + "] -- PROGRAM [ARGUMENTS]",
		Short:   "stop the daemon and start it again: clients lose their connections",
		Long:    longRestart,
		Example: "  gozdctl restart -c /etc/app.conf -- /usr/local/bin/app -c /etc/app.conf",
		RunE: func(cmd *cobra.Command, args []string) error {
			own, program := args[:cmd.ArgsLenAtDash()], args[cmd.ArgsLenAtDash():]
			return starting{a}.restart(cmd.Context(), own, program)
		},
	}
	cmd.Flags().DurationVar(&a.timeout, "timeout", 0, "how long the stop, and then the start, may take at most, as in 30s or 2m")
	a.onDaemon(cmd)
	cmd.Args = startArgs(a, insteadOfRestart)
	return cmd
}

func (a starting) restart(ctx context.Context, own, program []string) error {
	began := a.now()
	pidfile, err := a.restartTarget(ctx, own, program)
	if err != nil && !errors.Is(err, process.ErrNotRunning) {
		return fmt.Errorf("nothing was stopped: %w", err)
	}
	if err == nil {
		if err = a.mayRestart(ctx, pidfile); err != nil {
			return fmt.Errorf("nothing was stopped: %w", err)
		}
		err = a.stop(ctx, pidfile)
	}
	switch {
	case errors.As(err, new(*client.MovedError)): // it serves on
		return fmt.Errorf("nothing was started: %w", err)
	case errors.Is(err, process.ErrNotRunning):
		a.say("nothing to stop: %v", err)
	case err != nil:
		return err
	}
	if err := a.start(ctx, pidfile, program); err != nil {
		if r, findErr := process.Find(pidfile); findErr == nil { // somebody else has started it meanwhile, or it is late
			defer r.Close()
			return fmt.Errorf("pid %d serves now, and not by this start: %w", r.PID, err)
		}
		return fmt.Errorf("no daemon serves now: %w", err)
	}
	a.out.Seconds = ptr(a.now().Sub(began).Seconds())
	return nil
}

// mayRestart refuses where systemd runs the daemon: that would take its end for the service's, and what is started here would be no part of
// the unit. One that cannot be asked is stopped as gozdctl stop does.
func (a starting) mayRestart(ctx context.Context, pidfile string) error {
	s, err := a.askStatus(ctx, pidfile)
	if err == nil && s.Managed {
		return errors.New("systemd runs this daemon: let it restart the service, by systemctl restart UNIT")
	}
	return nil
}

// restartTarget finds the daemon to stop, once there is something to start. The error wraps process.ErrNotRunning where none is to be stopped.
func (a starting) restartTarget(ctx context.Context, own, program []string) (pidfile string, err error) {
	if _, err := exec.LookPath(program[0]); err != nil {
		return "", err
	}
	pidfile, conf, err := a.startTarget(own, program)
	if err != nil || conf == nil {
		return pidfile, err
	}
	return pidfile, control.RunsBy(ctx, pidfile, conf.File, conf.Source)
}

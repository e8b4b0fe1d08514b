package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/printable"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

const longStart = `Runs the program, which detaches by itself and returns when the daemon is ready or has failed, and
says which. Do not give the program -f: it would stay in the foreground.

The PID file, or -c, before the two dashes says which daemon is meant. Without it the program's own
-c says so, or "./app.conf" if it has none.`

func startCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "start [" + aboutTarget + "] -- PROGRAM [ARGUMENTS]",
		Short:   "start a daemon and wait until it serves",
		Long:    longStart,
		Example: "  gozdctl start -- /usr/local/bin/app -c /etc/app.conf",
		RunE: func(cmd *cobra.Command, args []string) error {
			own, program := args[:cmd.ArgsLenAtDash()], args[cmd.ArgsLenAtDash():]
			pidfile, _, err := starting{a}.startTarget(own, program)
			if err != nil && !errors.Is(err, errProgramsConfig) { // the program will say what is wrong with that
				return err
			}
			return starting{a}.start(cmd.Context(), pidfile, program)
		},
	}
	cmd.Flags().DurationVar(&a.timeout, "timeout", 0, "how long to wait at most (default 2m)")
	a.onDaemon(cmd)
	cmd.Args = startArgs(a, "")
	return cmd
}

// startArgs wants a program behind two dashes. instead is what else there is where it is missing.
func startArgs(a *app, instead string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		dash := cmd.ArgsLenAtDash()
		if dash < 0 || dash == len(args) {
			return usageError("write the program and its arguments after two dashes: gozdctl %s -- PROGRAM ARGUMENTS%s", cmd.Name(), instead)
		}
		if dash == 0 && a.config == "" {
			return nil // the program's arguments say which daemon it is
		}
		return targetArgs(a)(cmd, args[:dash])
	}
}

// errProgramsConfig is wrapped by errors about the configuration that a program's own arguments name.
var errProgramsConfig = errors.New("the program's configuration")

// starting is what start and restart do.
type starting struct{ *app }

// startTarget finds the PID file that the daemon will have, and the configuration that names it, which is nil where the command line
// names the file.
func (a starting) startTarget(own, program []string) (pidfile string, conf *config.Config, err error) {
	if a.program == "" {
		a.program = program[0]
	}
	switch {
	case len(own) > 0:
		a.out.PIDFile = own[0]
		return own[0], nil, nil
	case a.config != "":
		conf, err = a.namedConfig()
	default:
		conf, err = config.Load(configOf(program[1:]), config.Options{Program: program[0], OwnTLS: true})
		if err != nil {
			err = fmt.Errorf("%w: %w", errProgramsConfig, err)
		}
	}
	if err != nil {
		return "", nil, err
	}
	a.out.PIDFile = conf.Daemon.PIDFile
	return conf.Daemon.PIDFile, conf, nil
}

// configOf is the value of -c, as package flag reads it, among a program's arguments.
func configOf(args []string) string {
	for i, arg := range args {
		name := strings.TrimPrefix(arg, "-")
		name = strings.TrimPrefix(name, "-")
		if value, ok := strings.CutPrefix(name, "c="); ok && name != arg {
			return value
		}
		if name == "c" && name != arg && i+1 < len(args) {
			return args[i+1]
		}
	}
	return "app.conf"
}

// maxWords bounds what is kept of what a program says.
const maxWords = 4 << 10

// words keeps the end of what is written to it.
type words struct{ buf bytes.Buffer }

func (w *words) Write(p []byte) (int, error) {
	w.buf.Write(p)
	if over := w.buf.Len() - maxWords; over > 0 {
		w.buf.Next(over)
	}
	return len(p), nil
}

// start runs the program until it returns. When gozdctl waits no longer, the program is left
// alone: it may be about to serve.
func (a starting) start(ctx context.Context, pidfile string, program []string) error {
	const unsaid = 2 * time.Minute
	began := a.now()
	ctx, p := a.newPatience(ctx, unsaid)
	defer p.end()
	output, err := a.runProgram(ctx, program)
	if err != nil {
		return a.programFailed(pidfile, began, err)
	}
	a.out.acted = true
	a.out.Seconds = ptr(a.now().Sub(began).Seconds())
	if output != "" && !a.json {
		a.stderr.printf("%s\n", printable.Text(output))
	}
	return a.started(ctx, pidfile, program[0], began)
}

// programFailed adds to a program's error that a daemon has begun to serve since: the program may be a script around it that has failed afterwards.
func (a starting) programFailed(pidfile string, began time.Time, err error) error {
	if pidfile == "" {
		return err
	}
	r, findErr := process.Find(pidfile)
	if findErr != nil {
		return err
	}
	defer r.Close()
	if r.State.Since.Before(began) {
		return err
	}
	a.out.Serving = &generation{r.State.Generation, r.PID}
	return fmt.Errorf("generation %d (pid %d) serves all the same: %w", r.State.Generation, r.PID, err)
}

// runProgram returns what the program has printed when it returns with status 0.
func (a starting) runProgram(ctx context.Context, program []string) (string, error) {
	out := new(words)
	cmd := exec.Command(program[0], program[1:]...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.WaitDelay = time.Second // for one that leaves its output to a process of its own
	if err := cmd.Start(); err != nil {
		return "", startError(program[0], err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		output := strings.TrimSpace(out.buf.String())
		if err == nil || errors.Is(err, exec.ErrWaitDelay) {
			return output, nil
		}
		return "", programError(program[0], output, err)
	case <-ctx.Done():
		return "", fmt.Errorf("%s (pid %d) has not returned, and still runs (does it stay in the foreground?): %w",
			program[0], cmd.Process.Pid, context.Cause(ctx))
	}
}

func startError(program string, err error) error {
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("%s: there is no such program in PATH: %w", program, exec.ErrNotFound)
	}
	return fmt.Errorf("start: %w", err)
}

// programError prefers the program's own words to its exit status.
func programError(program, output string, err error) error {
	if output == "" {
		return fmt.Errorf("%s: %w, without a message", program, err)
	}
	return fmt.Errorf("%s: %w:\n%s", program, err, output)
}

// started looks who serves now, and has not done so when the program began.
func (a starting) started(ctx context.Context, pidfile, program string, began time.Time) error {
	took := a.now().Sub(began)
	if pidfile == "" {
		a.say("started: %s returned with status 0 after %s", filepath.Base(program), span(took))
		return nil
	}
	r, err := process.Await(ctx, pidfile)
	if err != nil {
		return fmt.Errorf("%s returned with status 0, but no daemon was found: %w", program, err)
	}
	defer r.Close()
	a.out.Serving = &generation{r.State.Generation, r.PID}
	if r.State.Since.Before(began) {
		return fmt.Errorf("%s returned with status 0, and has started nothing: generation %d (pid %d) serves since %s",
			program, r.State.Generation, r.PID, r.State.Since.Local().Format(time.DateTime))
	}
	a.say("started: generation %d (pid %d) serves, ready after %s", r.State.Generation, r.PID, span(took))
	return nil
}

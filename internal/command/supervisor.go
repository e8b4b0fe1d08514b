package command

import (
	"os"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/activation"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/early"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/logging"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/report"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/supervise"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// wantsSupervisor reports whether this process, which is none of the generations, is to be the supervisor: somebody may watch it who would
// take its end for the daemon's, as systemd, a container and a shell do.
func (c *Command) wantsSupervisor(conf *config.Config) bool {
	mode := conf.Daemon.Supervise
	return supervise.Supported && (mode == config.SuperviseYes || mode == config.SuperviseAuto && c.Foreground)
}

// supervise makes this process the supervisor, and returns with what status it is to end.
func (c *Command) supervise(arg0 string, first look) (status int, err error) {
	binary, err := process.FindBinary(arg0)
	if err != nil {
		return statusFailed, err
	}
	opts := supervise.Options{
		Binary: binary, Args: process.Arguments()[1:], Dir: process.StartDir,
		Log: logging.New(os.Stderr, c.Verbose, config.LogText),
	}
	if id := first.becomes; id != nil {
		opts.User = &supervise.User{UID: id.UID, GID: id.GID}
	}
	opts.Env = append(opts.Env, process.Decided(first.becomes))
	starter, mark := process.Starter()
	stderr := process.StarterStderr()
	if starter != nil {
		opts.Files, opts.Env = append(opts.Files, starter), append(opts.Env, mark)
		if stderr != nil {
			opts.Files = append(opts.Files, stderr)
		}
	}
	early.RestoreStderr(true)            // from now on it is generation 1 that is waited for
	sockets, _ := activation.Inherited() // without an error, or the configuration would have one
	files, env := activation.Pass(sockets, 3+len(opts.Files))
	opts.Files, opts.Env = append(opts.Files, files...), append(opts.Env, env...)
	opts.Stored, opts.Keeps = storedBefore(sockets), first.conf.Daemon.FDStore
	opts.Started = func() {
		activation.Close(sockets)
		if starter != nil {
			_, _ = starter.Close(), stderr.Close() // nil has it return an error
		}
	}
	status, err = supervise.Run(opts)
	if err != nil && starter != nil {
		report.NewWriter(starter).Fail(upgrade.StageStart, err)
	}
	return status, err
}

// storedBefore are the sockets that systemd has passed back, as the supervisor has to know them.
func storedBefore(sockets []activation.Socket) []supervise.Stored {
	var stored []supervise.Stored
	for _, s := range sockets {
		if s.IsStored() {
			stored = append(stored, supervise.Stored{Name: s.Name, Inode: s.Inode()})
		}
	}
	return stored
}

// Package host is what a generation does to the machine, and to its own process, by its configuration: files and directories that root
// makes for the configured user, the log file, limits, and becoming that user.
package host

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/check"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// Modes of what the daemon makes.
const (
	runDirMode = 0o755
	logDirMode = 0o750
	logMode    = 0o640
)

// MakeFiles makes what root can make and the configured user may not: he will go on with it when this
// process, and each that follows, is his.
func MakeFiles(conf *config.Config) error {
	id, err := check.Identity(conf)
	if err != nil {
		return err
	}
	c := &conf.Daemon
	if err := makeRunDir(c, id); err != nil {
		return fmt.Errorf("PID file %s: %w", c.PIDFile, err)
	}
	if err := makeLog(c.Log, id); err != nil {
		return fmt.Errorf("log file: %w", err)
	}
	for i := range conf.Groups {
		if err := makeSocketDir(&conf.Groups[i], id); err != nil {
			return check.InGroup(conf, &conf.Groups[i], err)
		}
	}
	return nil
}

func makeRunDir(c *config.Daemon, id *process.Identity) error {
	if id == nil || os.Geteuid() != 0 {
		return nil // process.MakeRuntimeDir does it
	}
	dir := filepath.Dir(c.PIDFile)
	if err := id.MakeDir(dir, runDirMode); err != nil {
		return err
	}
	if c.OwnDir {
		return id.TakeDir(dir, filepath.Base(c.PIDFile))
	}
	return nil
}

func makeLog(path string, id *process.Identity) error {
	if path == "" {
		return nil
	}
	if id != nil {
		if err := id.MakeDir(filepath.Dir(path), logDirMode); err != nil {
			return err
		}
	}
	return id.MakeFile(path, logMode)
}

func makeSocketDir(g *config.Group, id *process.Identity) error {
	if id == nil || !g.Listen.IsUnix() || !filepath.IsAbs(g.Listen.Address) {
		return nil
	}
	return id.MakeDir(filepath.Dir(g.Listen.Address), runDirMode)
}

// OpenLog makes the configured log file this process's standard output and error. It does nothing without one.
func OpenLog(conf *config.Config) error {
	if conf.Daemon.Log == "" {
		return nil
	}
	id, err := check.Identity(conf)
	if err != nil {
		return err
	}
	return process.OpenLog(conf.Daemon.Log, id)
}

// Become becomes the configured user, if there is one. It reports whether it has.
func Become(conf *config.Config, log *slog.Logger) (became bool, err error) {
	id, err := check.Decided(conf)
	process.TakeDecided()
	if err != nil || id == nil {
		return false, err
	}
	was := os.Geteuid()
	dir, dirErr := os.Getwd()
	if err := id.Become(); err != nil {
		return true, err
	}
	if was != id.UID && dirErr == nil {
		if err := leaveDir(dir); err != nil {
			log.Warn("upgrades will fail", "error", err)
		}
	}
	return true, nil
}

// leaveDir leaves a working directory that this process could not enter now, as root's own, and says so: what is below it would be
// within reach, whatever is in the way to it, and no successor can be started there.
func leaveDir(dir string) error {
	err := os.Chdir(dir)
	if err == nil {
		return nil
	}
	return errors.Join(fmt.Errorf("working directory, left for /: %w", err), os.Chdir("/"))
}

// WarnOfNext says what the next generation, which begins as the user that this one has become, cannot
// open: the first upgrade would be the worst time to learn that.
func WarnOfNext(conf *config.Config, log *slog.Logger) {
	warn := func(err error) {
		if err != nil {
			log.Warn("upgrades will fail", "error", err)
		}
	}
	warn(process.Readable(conf.File))
	if conf.Daemon.Log != "" {
		warn(process.Writable(conf.Daemon.Log))
	}
	if conf.Daemon.EnvFile != "" {
		warn(process.Readable(conf.Daemon.EnvFile))
	}
	for _, g := range conf.Groups {
		for _, file := range g.Files() {
			warn(process.Readable(file))
		}
	}
}

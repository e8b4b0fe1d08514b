package engine

import (
	"fmt"
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

// makeFiles makes what root can make and the configured user may not: he will go on with it when this
// process, and each that follows, is his.
func (e *Engine) makeFiles() error {
	id, err := check.Identity(e.conf)
	if err != nil {
		return err
	}
	c := &e.conf.Daemon
	if err := makeRunDir(c, id); err != nil {
		return fmt.Errorf("PID file %s: %w", c.PIDFile, err)
	}
	if err := makeLog(c.Log, id); err != nil {
		return fmt.Errorf("log file: %w", err)
	}
	for i := range e.conf.Groups {
		if err := makeSocketDir(&e.conf.Groups[i], id); err != nil {
			return check.InGroup(e.conf, &e.conf.Groups[i], err)
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
	if id == nil || g.Listen.Network != "unix" || !filepath.IsAbs(g.Listen.Address) {
		return nil
	}
	return id.MakeDir(filepath.Dir(g.Listen.Address), runDirMode)
}

// dropPrivileges becomes the configured user, now that the sockets are bound.
func (e *Engine) dropPrivileges() error {
	id, err := check.Identity(e.conf)
	if err != nil || id == nil {
		return err
	}
	if err := id.Become(); err != nil {
		return err
	}
	if e.Generation() == 1 {
		e.warnOfNext()
	}
	return nil
}

// warnOfNext says what the next generation, which begins as the user that this one has become, cannot
// open: the first upgrade would be the worst time to learn that.
func (e *Engine) warnOfNext() {
	warn := func(err error) {
		if err != nil {
			e.log.Warn("upgrades will fail", "error", err)
		}
	}
	warn(process.Readable(e.conf.File))
	if e.conf.Daemon.Log != "" {
		warn(process.Writable(e.conf.Daemon.Log))
	}
	if e.conf.Daemon.EnvFile != "" {
		warn(process.Readable(e.conf.Daemon.EnvFile))
	}
	for _, g := range e.conf.Groups {
		if g.Mode == config.HTTPS {
			warn(process.Readable(g.Key))
			warn(process.Readable(g.Cert))
		}
	}
}

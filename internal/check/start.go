package check

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/safepath"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
)

// Start returns everything that a start by conf would find wrong, for this user on
// this machine, joined into one error, one line each; it starts nothing and changes
// no file. own are the addresses that the daemon itself has if it runs, as in its
// state file ("tcp 127.0.0.1:80", by group): these are not in use by others.
func Start(conf *config.Config, own map[string]string) error {
	errs := []error{Config(conf)}
	id, err := Identity(conf)
	if err == nil && id != nil {
		errs = append(errs, describe(conf, "user", id.MayBecome()))
	}
	if n := conf.Daemon.MaxFiles; n > 0 {
		errs = append(errs, inSection(conf, process.MaySetMaxFiles(n)))
	}
	errs = append(errs, pidfile(conf, id), logfile(conf, id))
	for i := range conf.Groups {
		errs = append(errs, address(conf, &conf.Groups[i], id, slices.Collect(maps.Values(own))))
	}
	return errors.Join(errs...)
}

// pidfile looks at the directory of the PID file. The lock is taken before the daemon
// becomes another user, the PID is written afterwards.
func pidfile(conf *config.Config, id *process.Identity) error {
	dir := filepath.Dir(conf.Daemon.PIDFile)
	_, err := safepath.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		dir, id = filepath.Dir(dir), nil // a start makes the last directory
	}
	return describe(conf, "pidfile", firstError(directory(dir, nil), directory(dir, id)))
}

// logfile looks at the log. It is opened by the user who starts the daemon, and later,
// at an upgrade or a reopen, by the one that the daemon has become.
func logfile(conf *config.Config, id *process.Identity) error {
	path := conf.Daemon.Log
	if path == "" {
		return nil
	}
	info, err := safepath.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = newFile(conf, path, id)
	case err == nil && info.IsDir():
		err = fmt.Errorf("%s: %w", path, syscall.EISDIR)
	case err == nil:
		err = firstError(process.MayWrite(path, nil), process.MayWrite(path, id))
	}
	return describe(conf, "log", err)
}

// newFile returns nil where a start can make the file at path. It makes the file's directory too, if that is all that is missing: the PID
// file's for anybody, others for the user that the daemon becomes.
func newFile(conf *config.Config, path string, id *process.Identity) error {
	dir := filepath.Dir(path)
	isMade := id != nil || dir == filepath.Dir(conf.Daemon.PIDFile)
	if _, err := safepath.Stat(dir); isMade && errors.Is(err, fs.ErrNotExist) {
		dir = filepath.Dir(dir)
	}
	return directory(dir, nil)
}

// directory returns nil where files can be made in dir.
func directory(dir string, id *process.Identity) error {
	info, err := safepath.Stat(dir)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s: %w", dir, syscall.ENOTDIR)
	}
	if err != nil {
		return err
	}
	return process.MayWrite(dir, id)
}

// address returns nil where a group's address is free, or the daemon's own.
func address(conf *config.Config, g *config.Group, id *process.Identity, own []string) error {
	network, addr := g.Listen.Bind()
	if g.Listen.IsUnix() && slices.Contains(own, network+" "+addr) {
		return nil
	}
	if g.Listen.IsUnix() && filepath.IsAbs(addr) {
		if err := newFile(conf, addr, id); err != nil {
			return InGroup(conf, g, fmt.Errorf("listen: %w", err))
		}
	}
	err := socket.Probe(network, addr)
	if err == nil || (errors.Is(err, syscall.EADDRINUSE) && !g.Listen.IsUnix() && ownPort(g.Listen.Network, addr, own)) {
		return nil
	}
	return InGroup(conf, g, err)
}

// ownPort reports whether the daemon has the port of address, if on another host: a
// successor shares it then.
func ownPort(ofNetwork, address string, own []string) bool {
	_, port, err := net.SplitHostPort(address)
	return err == nil && slices.ContainsFunc(own, func(s string) bool {
		network, addr, _ := strings.Cut(s, " ")
		_, has, err := net.SplitHostPort(addr)
		return err == nil && network == ofNetwork && has == port
	})
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func describe(conf *config.Config, key string, err error) error {
	if err == nil {
		return nil
	}
	return inDaemon(conf, fmt.Errorf("%s: %w", key, err))
}

func inSection(conf *config.Config, err error) error {
	if err == nil {
		return nil
	}
	return inDaemon(conf, err)
}

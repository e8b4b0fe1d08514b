// Package check finds what is wrong with a configuration beyond its text: key
// pairs that do not load or have expired, users that do not exist, variables that cannot be read. The daemon uses it when it
// starts, and its -t flag and gozdctl without starting anything.
package check

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/envfile"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// Config returns everything that is wrong, joined into one error, one line each.
func Config(conf *config.Config) error {
	errs := []error{Available(conf)}
	read := 0 // bytes of the files of TLS
	for i := range conf.Groups {
		g := &conf.Groups[i]
		if read <= maxAllPEM { // else it has been said once
			errs = append(errs, tlsOf(conf, g, &read))
		}
		if g.SocketOwner != "" { // else it is Identity's
			_, _, err := Owner(conf, g)
			errs = append(errs, err)
		}
	}
	_, identityErr := Identity(conf)
	_, envErr := EnvFile(conf)
	return errors.Join(append(errs, identityErr, envErr)...)
}

// tlsOf adds the bytes that it reads to read.
func tlsOf(conf *config.Config, g *config.Group, read *int) error {
	files, err := ReadTLS(conf, g, read)
	if err != nil {
		return err
	}
	return files.Valid(conf, g, time.Now())
}

// Available refuses what the configuration can say and this system cannot do:
// leaving it out in silence would promise a safety that is not there.
func Available(conf *config.Config) error {
	if conf.Daemon.Supervise == config.SuperviseYes && runtime.GOOS != "linux" {
		return inDaemon(conf, errors.New("supervise yes needs Linux"))
	}
	return nil
}

// Owner returns the numbers of the user and the group that own a group's Unix
// socket: those of socket_owner, or without it those that the daemon becomes. Each is -1
// for the process's own.
func Owner(conf *config.Config, g *config.Group) (uid, gid int, err error) {
	if g.SocketOwner == "" {
		return defaultOwner(conf)
	}
	gid = -1
	user, group, hasGroup := strings.Cut(g.SocketOwner, ":")
	uid, err = process.LookupUser(user)
	if err == nil && hasGroup {
		gid, err = process.LookupGroup(group)
	}
	if err != nil {
		return -1, -1, InGroup(conf, g, fmt.Errorf("socket_owner %q: %w", g.SocketOwner, err))
	}
	return uid, gid, nil
}

func defaultOwner(conf *config.Config) (uid, gid int, err error) {
	id, err := Identity(conf)
	if err != nil || id == nil {
		return -1, -1, err
	}
	return id.UID, id.GID, nil
}

// Identity returns whom the daemon becomes, or nil if it stays who it is.
func Identity(conf *config.Config) (*process.Identity, error) {
	id, err := process.LookupIdentity(conf.Daemon.User, conf.Daemon.Group)
	if err != nil {
		return nil, inDaemon(conf, err)
	}
	return id, nil
}

// Decided returns whom the daemon becomes, as Identity does, if that is still whom this process was started for.
func Decided(conf *config.Config) (*process.Identity, error) {
	id, err := Identity(conf)
	if err != nil {
		return nil, err
	}
	if err := id.Keeps(); err != nil {
		return nil, inDaemon(conf, err)
	}
	return id, nil
}

// SameUser refuses a configuration by which this process, a later generation, would become another user than the one before it is. Both
// would have the daemon's files then: while the upgrade goes on, and after one that fails, those of a root daemon would be in another
// user's hands.
func SameUser(conf *config.Config) error {
	id, err := Identity(conf)
	if err != nil || id == nil || id.IsCurrent() {
		return err
	}
	return inDaemon(conf, fmt.Errorf("user %d, group %d: the daemon runs as user %d, group %d, and no upgrade changes that: restart it",
		id.UID, id.GID, os.Geteuid(), os.Getegid()))
}

// EnvFile reads the variables that the configuration has for the program; nil
// without an env_file.
func EnvFile(conf *config.Config) (map[string]string, error) {
	if conf.Daemon.EnvFile == "" {
		return nil, nil
	}
	vars, err := envfile.Read(conf.Daemon.EnvFile)
	if err != nil {
		return nil, inDaemon(conf, fmt.Errorf("env_file: %w", err))
	}
	return vars, nil
}

// InGroup says where in the configuration the cause of err stands.
func InGroup(conf *config.Config, g *config.Group, err error) error {
	if g.Line > 0 {
		return fmt.Errorf("%s:%d: [%s]: %w", conf.File, g.Line, g.Name, err)
	}
	return fmt.Errorf("%s: [%s]: %w", conf.File, g.Name, err)
}

func inDaemon(conf *config.Config, err error) error {
	return fmt.Errorf("%s: [gozd]: %w", conf.File, err)
}

package engine

import (
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/check"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/envfile"
)

// restoreEnvironment takes out of the environment what the previous generation had
// from its env_file, so that every generation begins with what the first was started
// with. It reports whether there was something: then the configuration
// has been read in the wrong environment, and its default PID file may be another.
func (e *Engine) restoreEnvironment() bool {
	shadowed := e.up.Manifest().Shadowed
	envfile.Restore(shadowed)
	return len(shadowed) > 0
}

// setEnvironment puts the variables of env_file into the environment.
func (e *Engine) setEnvironment(conf *config.Config) error {
	vars, err := check.EnvFile(conf)
	if err != nil {
		return err
	}
	if e.shadowed, err = envfile.Apply(vars); err != nil {
		return err
	}
	e.up.SetShadowed(e.shadowed)
	return nil
}

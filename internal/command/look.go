package command

import (
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/check"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/groups"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/report"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// look is what decides how a generation 1 is started: in front of it a supervisor or not, and apart from this process's terminal, session and
// keys or not.
type look struct {
	conf    *config.Config
	becomes *process.Identity // nil for nobody else
}

// look looks at the configuration and at whom it makes the daemon. An error ends the start: generation 1 looks again, and where it finds
// nothing wrong, as when somebody was just writing the file, it would become that user with all that it has been left of root's.
func (c *Command) look() (look, error) {
	conf, err := groups.LoadConfig(c.Config, nil, c.OwnTLS)
	if err != nil {
		return look{}, err
	}
	becomes, err := check.Decided(conf)
	return look{conf, becomes}, err
}

// failed tells the error to whoever waits for this process to be ready, if anybody does, and returns it.
func failed(err error) error {
	if starter, _ := process.Starter(); starter != nil {
		report.NewWriter(starter).Fail(upgrade.StageConfiguration, err)
	}
	return err
}

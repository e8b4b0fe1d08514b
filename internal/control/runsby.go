package control

import (
	"fmt"
	"os"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// OtherConfigError says that the daemon which has a PID file runs by another configuration than the one that names the file.
type OtherConfigError struct {
	PIDFile string
	Config  string // that the daemon runs by
	Named   string // that names the PID file
}

// Error implements error.
func (e *OtherConfigError) Error() string {
	return fmt.Sprintf("%s names the PID file %s, and the daemon that has it runs by %s: if you mean that daemon, name that configuration or its PID file",
		e.Named, e.PIDFile, e.Config)
}

// RunsBy returns an *[OtherConfigError] where a daemon runs by another configuration than file, which names its PID file: by default that has
// the program's name, and anybody can write a configuration that names any. It is nil where no daemon says by what it runs.
func RunsBy(pidfile, file string) error {
	s, err := process.ReadState(pidfile)
	if err != nil || s.Config == "" || s.Config == file {
		return nil //nolint:nilerr // whoever asks the daemon is told what is wrong with its files
	}
	named, err1 := os.Stat(file)
	its, err2 := os.Stat(s.Config)
	if err1 == nil && err2 == nil && os.SameFile(named, its) {
		return nil
	}
	return &OtherConfigError{PIDFile: pidfile, Config: s.Config, Named: file}
}

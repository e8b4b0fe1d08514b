package control

import (
	"fmt"
	"io/fs"
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

// RunsBy returns an *[OtherConfigError] where a daemon runs by another configuration than the one at file, which names its PID file: by
// default that has the program's name, and anybody can write a configuration that names any. read is that file as it was read: by now
// another one may be at its path. The path that the daemon itself reads at its next upgrade is always right. It is nil where no daemon says
// by what it runs.
func RunsBy(pidfile, file string, read fs.FileInfo) error {
	s, err := process.ReadState(pidfile)
	if err != nil || s.Config == "" {
		return nil //nolint:nilerr // whoever asks the daemon is told what is wrong with its files
	}
	its, err := os.Stat(s.Config)
	if s.Config == file || err == nil && os.SameFile(read, its) {
		return nil
	}
	return &OtherConfigError{PIDFile: pidfile, Config: s.Config, Named: file}
}

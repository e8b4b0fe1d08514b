package control

import (
	"context"
	"fmt"
	"io/fs"
	"os"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/safepath"
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

// RunsBy returns an *[OtherConfigError] where the daemon that has a PID file runs by another configuration than the one at file, which names
// the PID file: by default that has the program's name, and anybody can write a configuration that names any. read is that file as it was
// read: by now another one may be at its path. The path that the daemon itself reads at its next upgrade is always right.
//
// It waits as process.Await does while a daemon starts, and the error wraps process.ErrNotRunning where none runs: a command that went on
// then could act on one that has been started since.
func RunsBy(ctx context.Context, pidfile, file string, read fs.FileInfo) error {
	r, err := process.AwaitRecord(ctx, pidfile)
	if err != nil {
		return err
	}
	if r.State.Config == "" || r.State.Config == file || isSame(read, r) {
		return nil
	}
	return &OtherConfigError{PIDFile: pidfile, Config: r.State.Config, Named: file}
}

// isSame reports whether the daemon's configuration is the very file that has been read, by another path. Where another user says where it is,
// the path is only compared: it could lead to a file system of his that never answers.
func isSame(read fs.FileInfo, r *process.Record) bool {
	if r.Owner > 0 && r.Owner != os.Geteuid() {
		return false
	}
	f, err := safepath.OpenRegular(r.State.Config) // by the rules by which it was read
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	its, err := f.Stat()
	return err == nil && os.SameFile(read, its)
}

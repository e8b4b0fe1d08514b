package gozd

import (
	"os"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// fileNextPID is the name under which the next generation gets its PID file.
const fileNextPID = "pid"

// offerPID has the next generation given the file that is to be its PID file, and returns this
// process's copy. Without one, because the disk is full for instance, it makes its own, and says what is in its way.
func (d *Daemon) offerPID(generation int) *os.File {
	f, err := process.PrepareNextPID(d.PIDFile(), generation)
	if err != nil {
		return nil
	}
	d.up.Pass(fileNextPID, f)
	return f
}

// withdrawPID removes what the next generation has not used.
func (d *Daemon) withdrawPID(f *os.File, generation int) {
	if f == nil {
		return
	}
	d.up.Pass(fileNextPID, nil)
	_ = f.Close()
	process.DiscardNextPID(d.PIDFile(), generation)
}

// writePID has the PID file name this process.
func (d *Daemon) writePID() error {
	pid := os.Getpid()
	if f := d.up.File(fileNextPID); f != nil {
		if d.up.Manifest().PIDFile != d.PIDFile() {
			_ = f.Close() // the configuration has another
		} else if process.CommitNextPID(f, d.PIDFile(), d.Generation(), pid) == nil {
			return nil
		}
	}
	return process.WritePID(d.PIDFile(), pid)
}

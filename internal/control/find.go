package control

import (
	"errors"
	"os"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// switchWait is how long a generation that has just taken over may need for its state file.
// The one that the file still names may be gone by then.
const switchWait = time.Second

// find is process.Find, also at the moment of an upgrade's end.
func find(pidfile string) (*process.Running, error) {
	deadline := time.Now().Add(switchWait)
	for {
		r, err := process.Find(pidfile)
		if !errors.Is(err, os.ErrProcessDone) || time.Now().After(deadline) {
			return r, err
		}
		time.Sleep(pollInterval)
	}
}

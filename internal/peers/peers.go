// Package peers is the other generations of a daemon, as one of them knows them.
package peers

import (
	"context"
	"errors"
	"os"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// Peer is another generation. The zero value is none. Its JSON form goes from generation to generation.
type Peer struct {
	Generation int    `json:"generation"`
	PID        int    `json:"pid"`
	StartTime  uint64 `json:"start_time"` // tells the process from a later one with its PID; 0 if unknown

	// PIDFile has its control socket beside it. It is empty for a generation of a version without.
	PIDFile string `json:"pidfile,omitempty"`
}

// IsAlive reports whether the process is there, as far as can be seen. Where there is no descriptor left to look by, it is.
func (p Peer) IsAlive() bool {
	process, err := process.Open(p.PID, p.StartTime)
	if err == nil {
		process.Close()
	}
	return err == nil || !isGone(err)
}

// isGone reports whether an error says that the process is gone, or that none can be seen here.
func isGone(err error) bool {
	return errors.Is(err, os.ErrProcessDone) || errors.Is(err, process.ErrCannotSee)
}

// Signal signals the process, if it is still there: a stranger that has its PID by now is not. The error is that of
// the signal, or of a look that has come to nothing.
func (p Peer) Signal(sig os.Signal) error {
	process, err := process.Open(p.PID, p.StartTime)
	switch {
	case err != nil && isGone(err):
		return nil
	case err != nil:
		return err
	}
	defer process.Close()
	return process.Signal(sig)
}

// endInterval is how often AwaitEnd looks.
const endInterval = time.Millisecond

// AwaitEnd waits until the process is gone, with all that it held. It reports false where ctx is done before.
func (p Peer) AwaitEnd(ctx context.Context) bool {
	tick := time.NewTicker(endInterval)
	defer tick.Stop()
	for p.IsAlive() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// Living are those of the peers that live, in the same order.
func Living(all []Peer) []Peer {
	var living []Peer
	for _, p := range all {
		if p.IsAlive() {
			living = append(living, p)
		}
	}
	return living
}

package control

import (
	"context"
	"errors"
	"os"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// ask signals the generation that serves, and returns it. Where that one has been replaced and has
// ended before the signal could be sent, the next one gets it. The caller closes what is returned.
func ask(ctx context.Context, pidfile string, sig os.Signal) (*process.Running, error) {
	for {
		r, err := process.Await(ctx, pidfile)
		if err != nil {
			return nil, err
		}
		if err = r.Signal(sig); err == nil {
			return r, nil
		}
		r.Close()
		if !errors.Is(err, os.ErrProcessDone) {
			return nil, err
		}
	}
}

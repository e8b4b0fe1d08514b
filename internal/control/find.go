package control

import (
	"context"
	"errors"
	"fmt"
	"os"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// ask signals the generation that serves, and returns it. Where that one has been replaced and has
// ended before the signal could be sent, the next one gets it. The caller closes what is returned.
func ask(ctx context.Context, pidfile string, sig os.Signal) (*process.Running, error) {
	return askWho(func() (*process.Running, error) { return process.Await(ctx, pidfile) }, sig)
}

// maxAsked bounds how many generations are asked one after the other: files can name another each time, and an honest daemon needs no more than two.
const maxAsked = 16

// askWho is ask with a way to find out who serves. A daemon that somebody has started since the first look is not asked.
func askWho(serves func() (*process.Running, error), sig os.Signal) (*process.Running, error) {
	var last *asked
	for n := 1; ; n++ {
		r, err := serves()
		if err != nil {
			return nil, err
		}
		if last != nil && !last.isOf(r.State) {
			r.Close()
			return nil, fmt.Errorf("pid %d has ended meanwhile, and pid %d was started since: %w", last.pid, r.PID, process.ErrNotRunning)
		}
		if err = r.Signal(sig); err == nil {
			return r, nil
		}
		last = &asked{r.PID, r.State.StartTime, r.State.Generation}
		r.Close()
		if !errors.Is(err, os.ErrProcessDone) || n == maxAsked {
			return nil, err
		}
	}
}

package control

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// Process names a process for good: another one with its PID has another start time.
type Process struct {
	PID       int
	StartTime uint64 // 0 where that is not known
}

// AwaitEnd waits until no generation of a daemon serves, and until the processes, its older
// generations, have ended too. first is the one that was asked to stop, and generation its number: where
// another of the same daemon has taken over meanwhile, that one is asked too. The process of first has to end as well, if its start time is known: its
// user can remove the files while it serves on. The error wraps that of ctx.
func AwaitEnd(ctx context.Context, pidfile string, first Process, generation int, older ...Process) error {
	if err := waitEnd(ctx, pidfile, asked{first.PID, first.StartTime, generation}); err != nil {
		return err
	}
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	if first.StartTime != 0 {
		older = append(slices.Clip(older), first)
	}
	for _, p := range older {
		for alive(p) {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return fmt.Errorf("it serves no longer, and pid %d has not ended: %w", p.PID, ctx.Err())
			}
		}
	}
	return nil
}

func alive(p Process) bool {
	open, err := process.Open(p.PID, p.StartTime)
	if err != nil {
		return errors.Is(err, process.ErrHidden)
	}
	open.Close()
	return true
}

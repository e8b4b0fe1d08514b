package process

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"
)

// settleWait bounds [Await]. What it waits for takes a process that gets a processor
// far less than a millisecond.
const settleWait = 5 * time.Second

// settleInterval is how often Await looks.
const settleInterval = 5 * time.Millisecond

// Await is [Find], and waits where the files cannot say yet what there is: the lock is held while the
// first generation starts and while the last one removes its files, and the generation that the
// state file names may just have been replaced and have ended. It waits until there is a
// generation that serves, or the daemon has ended; at most until ctx is done or for 5 s, and
// returns then what Find does.
func Await(ctx context.Context, pidfile string) (*Running, error) {
	return await(ctx, pidfile, Find)
}

// AwaitRecord is [ReadRecord], and waits as [Await] does.
func AwaitRecord(ctx context.Context, pidfile string) (*Record, error) {
	return await(ctx, pidfile, ReadRecord)
}

func await[T any](ctx context.Context, pidfile string, look func(pidfile string) (T, error)) (T, error) {
	late := time.NewTimer(settleWait)
	defer late.Stop()
	tick := time.NewTicker(settleInterval)
	defer tick.Stop()
	for {
		found, err := look(pidfile)
		if !IsUnsettled(err) {
			return found, err
		}
		select {
		case <-tick.C:
		case <-late.C:
			return found, err
		case <-ctx.Done():
			return found, err
		}
	}
}

// IsUnsettled recognises the errors of Find and [ReadRecord] that pass by themselves.
func IsUnsettled(err error) bool {
	if errors.Is(err, ErrNotRunning) {
		return false
	}
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, os.ErrProcessDone)
}

package control

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// Process names a process for good: another one with its PID has another start time.
type Process struct {
	PID       int
	StartTime uint64 // 0 where that is not known
	Is        string // what it is, for people, as "generation 1"; empty where that is not known
}

// String names the process for people.
func (p Process) String() string {
	if p.Is == "" {
		return fmt.Sprintf("pid %d", p.PID)
	}
	return fmt.Sprintf("%s (pid %d)", p.Is, p.PID)
}

// LeftError says that no generation of a daemon serves any more, and which of its processes have not ended in time.
type LeftError struct {
	Processes []Process
	Err       error // why nobody waits any longer
}

// maxNamed bounds how many processes an error names.
const maxNamed = 8

// Unwrap returns why nobody waits any longer.
func (e *LeftError) Unwrap() error { return e.Err }

// Error implements error.
func (e *LeftError) Error() string {
	return fmt.Sprintf("it serves no longer, and these have not ended: %s: %v", names(e.Processes), e.Err)
}

// names are those of some processes, for people.
func names(all []Process) string {
	var list []string
	for _, p := range all[:min(len(all), maxNamed)] {
		list = append(list, p.String())
	}
	if more := len(all) - maxNamed; more > 0 {
		list = append(list, fmt.Sprintf("%d more", more))
	}
	return strings.Join(list, ", ")
}

// AwaitEnd waits until no generation of a daemon serves, and until the processes, its older
// generations, have ended too. first is the one that was asked to stop, and generation its number: where
// another of the same daemon has taken over meanwhile, that one is asked too. The process of first has to end as well, if its start time is known: its
// user can remove the files while it serves on. The error wraps that of ctx. Where only processes are left
// that do not serve, it is a *[LeftError] with the cause of that.
func AwaitEnd(ctx context.Context, pidfile string, first Process, generation int, older ...Process) error {
	if err := waitEnd(ctx, pidfile, asked{first.PID, first.StartTime, generation}); err != nil {
		return err
	}
	if first.StartTime != 0 {
		older = append(slices.Clip(older), first)
	}
	return AwaitGone(ctx, older...)
}

// AwaitGone waits until the processes of a daemon that serves no longer have ended. The error is a *[LeftError].
func AwaitGone(ctx context.Context, all ...Process) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for i, p := range all {
		for alive(p) {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return &LeftError{living(all[i:]), context.Cause(ctx)}
			}
		}
	}
	return nil
}

// living are those that live, each once. The first of all does.
func living(all []Process) []Process {
	living := all[:1:1]
	for _, p := range all[1:] {
		same := func(q Process) bool { return q.PID == p.PID }
		if !slices.ContainsFunc(living, same) && alive(p) {
			living = append(living, p)
		}
	}
	return living
}

func alive(p Process) bool {
	open, err := process.Open(p.PID, p.StartTime)
	if err != nil { // it may live where it cannot be looked at, but for want of /proc
		return !errors.Is(err, os.ErrProcessDone) && !errors.Is(err, process.ErrCannotSee)
	}
	open.Close()
	return true
}

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/examples/demo/internal/report"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
)

// journal is when what happened, for the report.
type journal struct {
	started, stopped time.Time
	upgrades         []report.Upgrade
}

// upgraded notes an upgrade that has just gone well.
func (j *journal) upgraded(generation, pid int, ready time.Duration, asked time.Time) {
	j.upgrades = append(j.upgrades, report.Upgrade{Generation: generation, PID: pid, Ready: ready, Asked: asked, Served: time.Now()})
}

// write writes the report into the file path, if there is one, and says so. outcome is how the run has ended.
func (j *journal) write(ctx context.Context, path string, clients *load.Load, outcome error) (err error) {
	if path == "" {
		return nil
	}
	run := report.Run{
		Command:   strings.Join(append([]string{"go run ./examples/demo"}, os.Args[1:]...), " "),
		Started:   j.started,
		Stopped:   j.stopped,
		Exchanges: clients.Traced(),
		Counted:   clients.Recorder().Snapshot(),
		Upgrades:  j.upgrades,
		Machine:   report.ThisMachine(context.WithoutCancel(ctx)),
		Untimed:   slow,
	}
	if outcome != nil {
		run.Failure = outcome.Error()
	}
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := report.Write(f, run); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	fmt.Printf("report: %s\n", path)
	return nil
}

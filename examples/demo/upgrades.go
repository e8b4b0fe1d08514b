package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
)

func upgradeUnderLoad(ctx context.Context, d *daemon.Daemon, versions []string, p plan) (err error) {
	if err := d.Start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop(d)) }()
	clients, err := newClients(d)
	if err != nil {
		return err
	}
	clients.Trace = p.page != ""
	state, err := d.State()
	if err != nil {
		return err
	}
	fmt.Printf("generation 1 serves, pid %d; clients start, and none of them ever retries\n", state.PID)
	j := journal{started: time.Now()}
	clients.Start(ctx)
	upgradeErr := upgradeOften(ctx, d, clients.Recorder(), versions, p, &j)
	j.stopped = time.Now()
	stopErr := clients.Stop()
	fmt.Println()
	err = errors.Join(clients.Recorder().WriteTable(os.Stdout), upgradeErr, stopErr)
	if err == nil {
		err = verdict(clients.Recorder().Snapshot().Total, p.upgrades)
	}
	return errors.Join(err, j.write(ctx, p.page, clients, err))
}

// upgradeOften installs the versions in turn and upgrades to each.
func upgradeOften(ctx context.Context, d *daemon.Daemon, rec *load.Recorder, versions []string, p plan, j *journal) error {
	for i := range p.upgrades {
		if err := progress(ctx, rec, p.every); err != nil {
			return err
		}
		next := versions[(i+1)%len(versions)]
		if err := daemon.Install(next, d.Binary); err != nil {
			return err
		}
		asked := time.Now()
		up, err := d.Upgrade(ctx)
		if err != nil {
			return err
		}
		took := time.Duration(up.Served.Seconds * float64(time.Second))
		j.upgraded(up.Served.Generation, up.Served.PID, took, asked)
		fmt.Printf("upgrade: generation %d, pid %d, is ready after %v; %d generations live\n",
			up.Served.Generation, up.Served.PID, took.Round(time.Millisecond), len(d.Alive()))
	}
	return progress(ctx, rec, p.every)
}

// progress waits, and says once a second how it goes.
func progress(ctx context.Context, rec *load.Recorder, wait time.Duration) error {
	until := time.NewTimer(wait)
	defer until.Stop()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			fmt.Println("  ", rec.Snapshot())
		case <-until.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func stop(d *daemon.Daemon) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return d.Stop(ctx)
}

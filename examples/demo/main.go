// Command demo upgrades a daemon under load and counts what its clients lost.
//
//	go run ./examples/demo
//	go run ./examples/demo -upgrades 20 -every 500ms
//
// It builds two versions of the program mixed, starts the daemon, runs clients of
// every kind that never retry, and exits with status 1 if one request failed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
)

// groups is the daemon's configuration. Connections that cannot move stay with
// their old generation until the load is over.
const groups = `
[web]
mode    http
listen  127.0.0.1:0

[secure]
mode      https
listen    127.0.0.1:0
key       key.pem
cert      cert.pem
move_tls  yes

[app]
mode    fcgi
listen  unix:app.sock

[line]
mode    tcp
listen  127.0.0.1:0
`

// errLost is returned when a client lost something.
var errLost = errors.New("requests failed")

func main() {
	upgrades := flag.Int("upgrades", 5, "how many `times` to upgrade")
	every := flag.Duration("every", 2*time.Second, "`time` between two upgrades")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *upgrades, *every); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, upgrades int, every time.Duration) error {
	dir, err := os.MkdirTemp("", "gozd-demo-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	fmt.Println("building two versions of examples/mixed ...")
	versions, err := buildVersions(ctx, dir)
	if err != nil {
		return err
	}
	d, err := daemon.New(dir, versions[0], groups)
	if err != nil {
		return err
	}
	d.Binary = filepath.Join(dir, "mixed")
	return upgradeUnderLoad(ctx, d, versions, upgrades, every)
}

// buildVersions builds the versions that take turns.
func buildVersions(ctx context.Context, dir string) ([]string, error) {
	var paths []string
	for _, version := range []string{"1", "2"} {
		out := filepath.Join(dir, "version-"+version, "mixed")
		if err := daemon.Build(ctx, out, "examples/mixed", version); err != nil {
			return nil, err
		}
		paths = append(paths, out)
	}
	return paths, nil
}

func upgradeUnderLoad(ctx context.Context, d *daemon.Daemon, versions []string, upgrades int, every time.Duration) (err error) {
	if err := d.Start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop(d)) }()
	clients, err := newClients(d)
	if err != nil {
		return err
	}
	state, err := d.State()
	if err != nil {
		return err
	}
	fmt.Printf("generation 1 serves, pid %d; clients start, and none of them ever retries\n", state.PID)
	clients.Start(ctx)
	upgradeErr := upgradeOften(ctx, d, clients.Recorder(), versions, upgrades, every)
	stopErr := clients.Stop()
	fmt.Println()
	if err := errors.Join(clients.Recorder().WriteTable(os.Stdout), upgradeErr, stopErr); err != nil {
		return err
	}
	return verdict(clients.Recorder().Snapshot().Total, upgrades)
}

func verdict(total load.Stats, upgrades int) error {
	fmt.Printf("\n%d upgrades, %d requests, %d failed\n", upgrades, total.Requests, total.Failed)
	if total.Failed > 0 {
		return fmt.Errorf("%d of %d %w", total.Failed, total.Requests, errLost)
	}
	return nil
}

// upgradeOften installs the versions in turn and upgrades to each.
func upgradeOften(ctx context.Context, d *daemon.Daemon, rec *load.Recorder, versions []string, n int, every time.Duration) error {
	for i := range n {
		if err := progress(ctx, rec, every); err != nil {
			return err
		}
		next := versions[(i+1)%len(versions)]
		if err := daemon.Install(next, d.Binary); err != nil {
			return err
		}
		up, err := d.Upgrade(ctx)
		if err != nil {
			return err
		}
		took := time.Duration(up.Served.Seconds * float64(time.Second))
		fmt.Printf("upgrade: generation %d, pid %d, is ready after %v; %d generations live\n",
			up.Served.Generation, up.Served.PID, took.Round(time.Millisecond), len(d.Alive()))
	}
	return progress(ctx, rec, every)
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

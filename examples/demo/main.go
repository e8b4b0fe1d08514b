// Command demo upgrades a daemon under load and counts what its clients lost.
//
//	go run ./examples/demo
//	go run ./examples/demo -upgrades 20 -every 500ms
//	go run ./examples/demo -report report.html
//
// It builds two versions of the program mixed, starts the daemon, runs clients of
// every kind that never retry, and exits with status 1 if one request failed. The
// report is a page with the same figures, and how they were over time.
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
	page := flag.String("report", "", "write a page about the run to `file`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, plan{*upgrades, *every, *page}); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// plan is what the flags say.
type plan struct {
	upgrades int
	every    time.Duration
	page     string // file of the report, "" if there is none
}

func run(ctx context.Context, p plan) error {
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
	return upgradeUnderLoad(ctx, d, versions, p)
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

func verdict(total load.Stats, upgrades int) error {
	fmt.Printf("\n%d upgrades, %d requests, %d failed\n", upgrades, total.Requests, total.Failed)
	if total.Failed > 0 {
		return fmt.Errorf("%d of %d %w", total.Failed, total.Requests, errLost)
	}
	return nil
}

package faults

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	points "bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fault"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
)

const (
	// matrixEnv is the variable that with the value "full" has processes be stopped for
	// as long as docs/reliability.md says.
	matrixEnv = "GOZD_MATRIX"

	// matrixAtOnce is how many cells of the matrix run at a time.
	matrixAtOnce = 3
)

// role is a process's part in an upgrade.
type role int

const (
	parent role = iota // the generation that served when the upgrade was asked for
	child              // the one that is to replace it
)

// matrixStep is a row of the matrix: where a process stops, for something to happen to it.
type matrixStep struct {
	name  string
	point string
	by    role   // who stops there
	log   string // what the daemon must have logged by then
	conf  string // of the section [gozd]
}

// matrixSteps are in the order of an upgrade.
var matrixSteps = []matrixStep{
	{name: "before fork", point: points.BeforeFork, by: parent},
	{name: "told", point: points.Told, by: parent},
	{name: "after fork", point: points.AfterFork, by: child},
	{name: "before descriptors", point: points.BeforeDescriptors, by: child},
	{name: "configuration", point: points.Configuration, by: child},
	{name: "listen", point: points.Listen, by: child},
	{name: "before ready", point: points.BeforeReady, by: child},
	{name: "in probation", point: points.OnProbation, by: child, conf: "probation 100ms\n"},
	{name: "between PID file and ready", point: points.PIDWritten, by: child},
	{name: "right after ready", point: points.Reported, by: child},
	{name: "taken over", point: points.TookOver, by: child, log: "msg=upgraded generation=1"},
	{name: "handing over", point: points.HandingOver, by: child},
	{name: "draining", point: points.Draining, by: parent},
}

// before reports whether s comes before the step of a point.
func (s matrixStep) before(point string) bool {
	for _, other := range matrixSteps {
		switch other.point {
		case point:
			return false
		case s.point:
			return true
		}
	}
	return false
}

// outcome is what becomes of the daemon.
type outcome string

const (
	notPossible outcome = "-"
	upgraded    outcome = "upgraded" // the child serves
	failed      outcome = "failed"   // the parent serves on
	resumed     outcome = "resumed"  // the parent, which drained, serves again
	down        outcome = "down"     // nobody serves, until it is started again
	ended       outcome = "ended"    // as it was asked to
)

// matrixFaults are the columns of the matrix.
var matrixFaults = []struct {
	name      string
	inject    func(c *cell)
	expect    func(s matrixStep) outcome
	smallDisk bool
}{
	{name: "kill child", inject: func(c *cell) { c.kill(child) }, expect: func(s matrixStep) outcome {
		switch {
		case s.before(points.AfterFork):
			return notPossible
		case s.before(points.TookOver):
			return failed
		}
		return resumed // it was the only one that served
	}},
	{name: "kill parent", inject: func(c *cell) { c.kill(parent) }, expect: func(s matrixStep) outcome {
		if s.before(points.AfterFork) {
			return down // there is no child that could carry on
		}
		return upgraded
	}},
	{name: "stop child", inject: (*cell).pauseChild, expect: func(s matrixStep) outcome {
		if s.before(points.AfterFork) {
			return notPossible
		}
		return upgraded
	}},
	{name: "HUP again", inject: (*cell).hangUp, expect: always(upgraded)},
	{name: "TERM", inject: (*cell).terminate, expect: always(ended)},
	{name: "disk full", inject: (*cell).fillDisk, expect: failsBefore(points.PIDWritten), smallDisk: true},
	{name: "no descriptors", inject: (*cell).takeDescriptors, expect: failsBefore(points.PIDWritten)},
	{name: "binary deleted", inject: (*cell).deleteBinary, expect: failsBefore(points.Configuration)},
}

func always(o outcome) func(matrixStep) outcome { return func(matrixStep) outcome { return o } }

// failsBefore is the outcome of what only matters to a process that has not got as
// far as a point.
func failsBefore(point string) func(matrixStep) outcome {
	return func(s matrixStep) outcome {
		if s.before(point) {
			return failed
		}
		return upgraded
	}
}

// TestFaultMatrix does everything that can happen to an upgrade at every step of
// it. docs/reliability.md has the table that it logs.
func TestFaultMatrix(t *testing.T) {
	program := buildWithFaults(t)
	table := new(matrixTable)
	atOnce := make(chan struct{}, matrixAtOnce)
	t.Run("at", func(t *testing.T) {
		for _, s := range matrixSteps {
			for _, f := range matrixFaults {
				expected := f.expect(s)
				if expected == notPossible {
					table.add(s.name, f.name, result{clients: string(notPossible)})
					continue
				}
				t.Run(s.name+"/"+f.name, func(t *testing.T) {
					t.Parallel()
					atOnce <- struct{}{}
					defer func() { <-atOnce }()
					c := newCell(t, program, s, f.smallDisk)
					table.add(s.name, f.name, c.run(f.inject, expected))
				})
			}
		}
	})
	t.Logf("\n%s", table)
}

// buildWithFaults builds mixed with fault injection.
func buildWithFaults(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	program := filepath.Join(t.TempDir(), "mixed")
	if err := daemon.Build(ctx, program, "examples/mixed", "1", "gozd_fault"); err != nil {
		t.Fatal(err)
	}
	return program
}

// pauseLength is how long a process is stopped.
func pauseLength() time.Duration {
	if os.Getenv(matrixEnv) == "full" {
		return 3 * time.Second
	}
	return 300 * time.Millisecond
}

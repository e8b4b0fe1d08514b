//go:build unix

package faults

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loadtest"
)

const probationGroups = daemontest.WebAndLine + daemontest.SecureGroup

// startOnProbation starts a daemon whose upgrades are on probation for a time, and a
// load on it.
func startOnProbation(t *testing.T, probation string) (*daemon.Daemon, *load.Load) {
	t.Helper()
	d := daemontest.Start(t, probationGroups, "probation "+probation)
	l := load.New(nil)
	l.Interval = 2 * time.Millisecond
	loadtest.AddHTTP(l, daemontest.Target(t, d, "web"))
	secure := daemontest.Target(t, d, "secure")
	l.Add("TLS, new connections", 2, func() (load.Client, error) { return load.NewGet(secure, load.GetOptions{}) })
	l.Add("HTTP/2", 2, func() (load.Client, error) { return load.NewHTTP2(secure, load.HTTP2Options{BodySize: 100}) })
	loadtest.AddLines(l, daemontest.Target(t, d, "line"))
	l.Start(t.Context())
	loadtest.AwaitServed(t, l.Recorder(), 1)
	return d, l
}

// TestProbationPassed has both generations serve for a while, and then the new one.
func TestProbationPassed(t *testing.T) {
	const probation = 2 * time.Second
	d, l := startOnProbation(t, probation.String())
	for generation := 2; generation <= 4; generation++ {
		asked := time.Now()
		_, outcome := daemontest.BeginTrial(t, d)
		before := l.Recorder().Snapshot().Kind("keep-alive").Served[generation-1]
		awaitAnswers(t, l.Recorder(), "new connections", generation)
		if err := <-outcome; err != nil {
			t.Fatal(err)
		}
		// Not waited for: on a busy machine the probation may be over by now, and the old generation with it.
		if l.Recorder().Snapshot().Kind("keep-alive").Served[generation-1] == before {
			t.Errorf("generation %d has answered none of keep-alive during the probation", generation-1)
		}
		if took := time.Since(asked); took < probation {
			t.Errorf("the upgrade took %v, which is no probation of %v", took, probation)
		}
	}
	loadtest.End(t, l)
	if err := d.WaitAlive(t.Context(), 1); err != nil {
		t.Error(err)
	}
}

// awaitAnswers waits until a generation answers clients of a kind.
func awaitAnswers(t *testing.T, rec *load.Recorder, kind string, generation int) {
	t.Helper()
	before := rec.Snapshot().Kind(kind).Served[generation]
	for deadline := time.Now().Add(30 * time.Second); rec.Snapshot().Kind(kind).Served[generation] == before; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("generation %d answers none of %s", generation, kind)
		}
	}
}

// TestHealthCheckFails rolls an upgrade back: nobody who was served by the new
// generation meanwhile loses anything.
func TestHealthCheckFails(t *testing.T) {
	d, l := startOnProbation(t, "500ms")
	unwell := filepath.Join(d.Dir, "unwell")
	if err := os.WriteFile(unwell, []byte("no database\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		probation, outcome := daemontest.BeginTrial(t, d)
		daemontest.WantRolledBack(t, d, probation, outcome, "health check: no database")
		awaitAnswers(t, l.Recorder(), "new connections", 1)
	}
	_ = os.Remove(unwell)
	daemontest.Upgrade(t, d)
	loadtest.AwaitServed(t, l.Recorder(), 2)
	loadtest.End(t, l)
}

// TestRollback has an operator end the probation.
func TestRollback(t *testing.T) {
	d, l := startOnProbation(t, "1m")
	refused := new(client.AnswerError)
	if _, err := d.Rollback(t.Context()); !errors.As(err, &refused) || refused.Answer.Code != protocol.CodeNoProbation {
		t.Errorf("rollback without an upgrade: %v, want code %s", err, protocol.CodeNoProbation)
	}
	probation, outcome := daemontest.BeginTrial(t, d)
	awaitAnswers(t, l.Recorder(), "new connections", 2)
	if s, err := d.Rollback(t.Context()); err != nil || s.Generation != 1 {
		t.Errorf("rollback: %+v, %v, want generation 1", s, err)
	}
	daemontest.WantRolledBack(t, d, probation, outcome, "rolled back on request")
	awaitAnswers(t, l.Recorder(), "new connections", 1)
	loadtest.End(t, l)
}

// TestCrashOnProbation kills the new generation: the old one has never stopped serving.
func TestCrashOnProbation(t *testing.T) {
	d := daemontest.Start(t, probationGroups, "probation 1m")
	probation, outcome := daemontest.BeginTrial(t, d)
	if err := syscall.Kill(probation.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	daemontest.WantRolledBack(t, d, probation, outcome, "signal: killed")
	if err := d.Configure(probationGroups, "probation 10ms"); err != nil {
		t.Fatal(err)
	}
	daemontest.Upgrade(t, d)
}

// TestStopDuringProbation ends both generations, and no client is lost.
func TestStopDuringProbation(t *testing.T) {
	d := daemontest.Start(t, probationGroups, "probation 1m")
	probation, outcome := daemontest.BeginTrial(t, d)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if _, err := control.Stop(ctx, d.PIDFile); err != nil {
		t.Error(err)
	}
	if err := <-outcome; err == nil {
		t.Error("the upgrade succeeded")
	}
	if p, err := process.Open(probation.PID, probation.StartTime); err == nil {
		p.Close()
		t.Error("the generation on probation still lives")
	}
	if err := d.WaitAlive(ctx, 0); err != nil {
		t.Error(err)
	}
}

// TestParentDiesDuringProbation leaves the new generation to carry on alone.
func TestParentDiesDuringProbation(t *testing.T) {
	d := daemontest.Start(t, probationGroups, "probation 1m")
	old, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	probation, outcome := daemontest.BeginTrial(t, d)
	if err := syscall.Kill(old.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	t.Logf("who asked for it is told: %v", <-outcome) // either is true: it has ended, the upgrade has succeeded
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		if s, err := d.State(); err == nil && s.PID == probation.PID {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the new generation does not take over")
		}
	}
	if err := d.Configure(probationGroups, "probation 10ms"); err != nil {
		t.Fatal(err)
	}
	daemontest.Upgrade(t, d)
}

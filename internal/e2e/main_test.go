package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
)

// programs are the binaries that tests start, built once.
var programs struct{ mixed, mixed2, minimal, chat, chat1, bolt, gozdctl, faulty, hooked string }

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "gozd-e2e-")
	if err == nil {
		err = buildPrograms(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	// A process with the race detector sleeps for a second before it ends, for
	// reports that might come late; these tests look into the log.
	if err := os.Setenv("GORACE", "atexit_sleep_ms=0"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	status := m.Run()
	if status == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			status = 1
		}
	}
	_ = os.RemoveAll(dir)
	os.Exit(status)
}

func buildPrograms(dir string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	for _, p := range []struct {
		path            *string
		name            string
		folder, version string
	}{
		{&programs.mixed, "1/mixed", "examples/mixed", "1"},
		{&programs.mixed2, "2/mixed", "examples/mixed", "2"},
		{&programs.minimal, "minimal", "examples/minimal", ""},
		{&programs.chat, "2/chat", "examples/chat", ""},
		{&programs.chat1, "1/chat", "examples/chat", "1"}, // its states are of version 1
		{&programs.bolt, "bolt", "examples/bolt", ""},
		{&programs.hooked, "hooked", "internal/testutil/hooked", ""},
		{&programs.gozdctl, "gozdctl", "cmd/gozdctl", ""},
		{&programs.faulty, "faulty", "internal/testutil/faulty", ""},
	} {
		*p.path = filepath.Join(dir, p.name)
		if err := daemon.Build(ctx, *p.path, p.folder, p.version); err != nil {
			return err
		}
	}
	return nil
}

// tempDir is t.TempDir with a short name: the path of a Unix socket must fit into
// 107 bytes.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "gozd-") //nolint:usetesting // t.TempDir is too long for the path of a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// prepare makes a daemon of the program that is not started yet, and sees to it
// that it ends with the test and has met no race.
func prepare(t *testing.T, program, groups string, options ...string) *daemon.Daemon {
	t.Helper()
	d, err := daemon.New(tempDir(t), program, groups, options...)
	if err != nil {
		t.Fatal(err)
	}
	endWithTest(t, d)
	return d
}

// endWithTest stops a daemon at the end of its test, and looks for races in its log.
func endWithTest(t *testing.T, d *daemon.Daemon) {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := d.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
		log := d.LogText()
		if strings.Contains(log, "DATA RACE") {
			t.Errorf("the daemon has a data race")
		}
		if t.Failed() {
			t.Logf("the daemon's log:\n%s", log)
		}
	})
}

// start starts a daemon of the program mixed.
func start(t *testing.T, groups string, options ...string) *daemon.Daemon {
	t.Helper()
	d := prepare(t, programs.mixed, groups, options...)
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

func target(t *testing.T, d *daemon.Daemon, group string) load.Target {
	t.Helper()
	tg, err := d.Target(group)
	if err != nil {
		t.Fatal(err)
	}
	return tg
}

func upgrade(t *testing.T, d *daemon.Daemon) {
	t.Helper()
	if _, err := d.Upgrade(t.Context()); err != nil {
		t.Fatalf("upgrade: %v", err)
	}
}

// upgradeUnderLoad upgrades a new daemon n times, and waits before each and at the end until the
// serving generation has answered every kind of client a number of times: so the load and not
// the clock says when it is time.
func upgradeUnderLoad(t *testing.T, d *daemon.Daemon, l *load.Load, n int) {
	t.Helper()
	l.Start(t.Context())
	for generation := 1; ; generation++ {
		awaitServed(t, l.Recorder(), generation)
		if generation > n {
			break
		}
		upgrade(t, d)
	}
	if err := l.Stop(); err != nil {
		t.Error(err)
	}
	wantNoneFailed(t, l.Recorder())
}

// awaitServed waits until a generation has answered every kind of client a number
// of times; those that are not told who answers, until they have been answered as often.
func awaitServed(t *testing.T, rec *load.Recorder, generation int) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for _, k := range rec.Snapshot().Kinds {
		before := k.Served[0]
		for s := rec.Snapshot().Kind(k.Kind); s.Served[generation] < 5 && s.Served[0] < before+10; s = rec.Snapshot().Kind(k.Kind) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: fewer than 5 answers of generation %d in 30 s: %v", k.Kind, generation, rec.Snapshot())
			}
			time.Sleep(time.Millisecond)
		}
	}
}

// awaitExchanges waits until every kind has had n more exchanges.
func awaitExchanges(t *testing.T, rec *load.Recorder, n int) {
	t.Helper()
	before := rec.Snapshot()
	deadline := time.Now().Add(30 * time.Second)
	for _, k := range before.Kinds {
		for rec.Snapshot().Kind(k.Kind).Requests < k.Requests+n {
			if time.Now().After(deadline) {
				t.Fatalf("%s: fewer than %d exchanges in 30 s: %v", k.Kind, n, rec.Snapshot())
			}
			time.Sleep(time.Millisecond)
		}
	}
}

func wantNoneFailed(t *testing.T, rec *load.Recorder) {
	t.Helper()
	if rec.Failed() == 0 {
		return
	}
	var table strings.Builder
	_ = rec.WriteTable(&table)
	t.Errorf("%d exchanges failed\n%s", rec.Failed(), table.String())
}

// wantServed checks that every generation from first to last, and no other, has
// answered, and that every answer is accounted for.
func wantServed(t *testing.T, s load.Stats, first, last int) {
	t.Helper()
	sum := 0
	for g, n := range s.Served {
		if g < first || g > last {
			t.Errorf("%s: generation %d answered %d times; it was not there", s.Kind, g, n)
		}
		sum += n
	}
	for g := first; g <= last; g++ {
		if s.Served[g] == 0 {
			t.Errorf("%s: generation %d has answered nothing: %v", s.Kind, g, s.Served)
		}
	}
	if sum != s.Requests {
		t.Errorf("%s: %d answers to %d requests", s.Kind, sum, s.Requests)
	}
}

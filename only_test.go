package gozd_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
)

func TestOnlyBeforeDaemonize(t *testing.T) {
	err := gozd.Only("x", func(context.Context) { t.Error("it is called") })
	if !errors.Is(err, gozd.ErrNotDaemonized) {
		t.Errorf("Only = %v, want ErrNotDaemonized", err)
	}
}

// TestOnly has one generation, which is stopped; upgrades are in internal/e2e.
func TestOnly(t *testing.T) {
	if os.Getenv(onlyEnv) == "" {
		rerun(t, onlyEnv)
		return
	}
	d, err := gozd.New(gozd.Options{
		Config: writeConfig(t, t.TempDir(), "[gozd]\npidfile app.pid\n[line]\nmode tcp\nlisten 127.0.0.1:0\n"),
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	begun, ended := make(chan bool, 2), make(chan error, 2)
	run := func(ctx context.Context) {
		begun <- true
		<-ctx.Done()
		ended <- context.Cause(ctx)
	}
	returned := make(chan bool, 2)
	if err := errors.Join(d.Only("x", run), d.Only("returns", func(context.Context) { returned <- true })); err != nil {
		t.Fatal(err)
	}
	checkOnlyRefusals(t, d)
	if len(begun)+len(returned) > 0 {
		t.Error("a run begins before its generation serves")
	}
	if err := d.RegistHandler("line", "close", func(c gozd.Conn) { _ = c.Close() }); err != nil {
		t.Fatal(err)
	}
	receive(t, begun)
	receive(t, returned)
	awaitReady(t, d)
	d.Stop()
	if err := receive(t, ended); !errors.Is(err, context.Canceled) {
		t.Errorf("at a stop the cause is %v, want context.Canceled", err)
	}
	receive(t, d.Exit())
	if len(begun)+len(returned) > 0 {
		t.Error("a run has begun again")
	}
	if left, err := filepath.Glob(d.PIDFile() + "*"); err != nil || len(left) > 0 {
		t.Errorf("%v, %v are left", left, err)
	}
}

func checkOnlyRefusals(t *testing.T, d *gozd.Daemon) {
	t.Helper()
	never := func(context.Context) { t.Error("it is called") }
	if err := d.Only("x", never); !errors.Is(err, gozd.ErrOnlyInUse) || !strings.Contains(err.Error(), `"x"`) {
		t.Errorf("a second Only = %v, want ErrOnlyInUse and the name", err)
	}
	for _, name := range []string{"", "a/b", "..", "a.b", "a\x00b", "a b", "ä", strings.Repeat("x", 65)} {
		if err := d.Only(name, never); err == nil || !strings.Contains(err.Error(), "is not a name") {
			t.Errorf("Only(%q) = %v, want that this is not a name", name, err)
		}
	}
}

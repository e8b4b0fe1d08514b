package gozd_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
)

// TestHooks has a first generation that refuses upgrades until it is stopped; hooks with
// real upgrades are tested in internal/e2e.
func TestHooks(t *testing.T) {
	if os.Getenv(hooksEnv) == "" {
		rerun(t, hooksEnv)
		return
	}
	busy := errors.New("a backup is running")
	asked, parentExits := make(chan context.Context, 2), make(chan struct{}, 2)
	answers := make(chan error)
	d, err := gozd.New(gozd.Options{
		Config: writeConfig(t, t.TempDir(), "[gozd]\npidfile app.pid\n[line]\nmode tcp\nlisten 127.0.0.1:0\n"),
		Logger: slog.New(slog.DiscardHandler),
		OnUpgrade: func(ctx context.Context) error {
			asked <- ctx
			return <-answers
		},
		OnReplaced:   func() { t.Error("OnReplaced is called without a successor") },
		OnParentExit: func() { parentExits <- struct{}{} },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.RegistHandler("line", "close", func(c gozd.Conn) { _ = c.Close() }); err != nil {
		t.Fatal(err)
	}
	awaitReady(t, d)
	receive(t, parentExits)

	refused := make(chan error, 1)
	go func() { refused <- d.Upgrade() }()
	ctx := receive(t, asked)
	if limit, ok := ctx.Deadline(); !ok || time.Until(limit) > time.Minute {
		t.Errorf("the hook's time is over at %v, want upgrade_timeout, which is one minute", limit)
	}
	answers <- busy
	checkRefused(t, receive(t, refused), busy)

	go func() { refused <- d.Upgrade() }()
	ctx = receive(t, asked)
	d.Stop()
	receive(t, ctx.Done())
	if err := receive(t, refused); !errors.Is(err, gozd.ErrNotServing) {
		t.Errorf("Upgrade cut short by Stop = %v, want ErrNotServing", err)
	}
	receive(t, d.Exit())
	answers <- nil // the hook has not looked at its context
	if len(asked)+len(parentExits) > 0 {
		t.Error("a hook was called again")
	}
}

func checkRefused(t *testing.T, err, want error) {
	t.Helper()
	failed := new(gozd.UpgradeError)
	if !errors.Is(err, want) || !errors.As(err, &failed) || failed.Stage != "refused" ||
		err.Error() != "upgrade refused: "+want.Error() {
		t.Errorf("Upgrade = %v, want %v at stage refused", err, want)
	}
}

func receive[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(30 * time.Second):
		t.Fatal("nothing after 30 s")
		panic("not reached")
	}
}

// TestFailedStartLeavesTheEnvironment has New fail after it has read env_file.
func TestFailedStartLeavesTheEnvironment(t *testing.T) {
	if os.Getenv(environEnv) == "" {
		rerun(t, environEnv)
		return
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/app.env", []byte("GOZDTEST=1"), 0o600); err != nil {
		t.Fatal(err)
	}
	conf := writeConfig(t, dir, "[gozd]\npidfile app.pid\nenv_file app.env\n[line]\nmode tcp\nlisten "+taken.Addr().String()+"\n")
	if _, err := gozd.New(gozd.Options{Config: conf}); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("New on an address that is taken = %v", err)
	}
	if value, set := os.LookupEnv("GOZDTEST"); set {
		t.Errorf("GOZDTEST=%s is left in the environment", value)
	}
}

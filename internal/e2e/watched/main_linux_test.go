package watched

import (
	"context"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// patience bounds every wait for something that ought to happen.
const patience = 30 * time.Second

func TestMain(m *testing.M) { os.Exit(daemontest.RunLong(m)) }

var must = require.NoError

// runnable are those that a daemon here can run.
var runnable = map[string]func(testing.TB) string{"mixed": binaries.Mixed, "watched": binaries.Watched, "owncommands": binaries.OwnCommands, "cobra": binaries.Cobra}

// newDaemon prepares a daemon with a group web that runs one of the programs.
func newDaemon(t *testing.T, program string, options ...string) *daemon.Daemon {
	t.Helper()
	d, err := daemon.New(t.TempDir(), runnable[program](t), "[web]\nmode http\nlisten 127.0.0.1:0\n", options...)
	must(t, err)
	return d
}

// watch starts a command and has what is left of it end with the test.
func watch(t *testing.T, d *daemon.Daemon, cmd *exec.Cmd) {
	t.Helper()
	daemon.AdoptOrphans()
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // a second time, mostly
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := d.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
		if t.Failed() {
			t.Logf("log:\n%s", d.LogText())
		}
	})
	await(t, "serving", func() bool { return generation(d) == 1 })
}

// generation is the number of the serving generation; 0 without.
func generation(d *daemon.Daemon) int {
	s, err := d.State()
	if err != nil {
		return 0
	}
	return s.Generation
}

var await = require.Eventually

// ended waits for a command's end.
func ended(t *testing.T, cmd *exec.Cmd) syscall.WaitStatus {
	t.Helper()
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended is in ProcessState
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(patience):
		_ = cmd.Process.Kill()
		<-done
		t.Fatal("the process does not end")
	}
	ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok {
		t.Fatalf("%T", cmd.ProcessState.Sys())
	}
	return ws
}

// servingPID is that of the generation that serves.
func servingPID(t *testing.T, d *daemon.Daemon) int {
	t.Helper()
	s, err := process.ReadState(d.PIDFile)
	must(t, err)
	return s.PID
}

// upgrade upgrades n times, as gozdctl does.
func upgrade(t *testing.T, d *daemon.Daemon, n int) {
	t.Helper()
	for range n {
		_, err := d.Upgrade(t.Context())
		must(t, err)
	}
}

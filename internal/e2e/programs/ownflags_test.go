package programs

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// commandLine is how a program with a command line of its own is called; CONF stands for the configuration.
type commandLine struct {
	program                                     func(testing.TB) string
	background, foreground, reload, stop, check string
}

var commandLines = map[string]commandLine{
	"flag": {
		binaries.Flags, "--greeting Ave --config CONF", "--foreground --greeting=Ave --config CONF", "--do reload --config CONF",
		"--do stop --config CONF", "--check --config CONF",
	},
	"cobra": {
		binaries.Cobra, "serve --greeting Ave -c CONF", "serve -f --greeting=Ave -c CONF", "-c CONF reload", "stop -c CONF", "reopen -c CONF",
	},
}

func called(d *daemon.Daemon, line string) *exec.Cmd {
	cmd := exec.Command(d.Binary, strings.Fields(strings.ReplaceAll(line, "CONF", d.Conf))...)
	cmd.Dir = d.Dir
	return cmd
}

// A program with a command line of its own, by whatever package, has all that Daemonize has: it detaches, is upgraded, has a supervisor, and
// acts on the daemon. What the first process was started with, each one is.
func TestOwnCommandLine(t *testing.T) {
	for name, line := range commandLines {
		t.Run(name, func(t *testing.T) {
			d := daemontest.Prepare(t, line.program(t), daemontest.OnlyWeb)
			daemontest.Begin(t, d, called(d, line.background), false)
			wantAnswer(t, d, 1)
			daemontest.Upgrade(t, d)
			wantAnswer(t, d, 2)
			daemontest.UpgradeByHUP(t, d)
			wantAnswer(t, d, 3)
			for _, args := range []string{line.reload, line.check, line.stop} {
				if output, err := called(d, args).CombinedOutput(); err != nil {
					t.Errorf("%s: %v: %s", args, err, output)
				}
				if args == line.reload {
					wantAnswer(t, d, 4)
				}
			}
			if output, err := called(d, line.stop).CombinedOutput(); err == nil || !strings.Contains(string(output), "not running") {
				t.Errorf("%s of none: %v: %s", line.stop, err, output)
			}
		})
	}
}

func wantAnswer(t *testing.T, d *daemon.Daemon, generation int) {
	t.Helper()
	if got, want := ask(t, d), fmt.Sprintf("Ave from generation %d\n", generation); got != want {
		t.Errorf("answered by %q, want %q", got, want)
	}
}

// In the foreground the first process stays, where the system has supervisors.
func TestOwnCommandLineInFront(t *testing.T) {
	require.Linux(t)
	for name, line := range commandLines {
		t.Run(name, func(t *testing.T) {
			d := daemontest.Prepare(t, line.program(t), daemontest.OnlyWeb)
			daemon.AdoptOrphans()
			front := called(d, line.foreground)
			if err := front.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- front.Wait() }()
			daemontest.Await(t, "state file", func() bool { _, err := d.State(); return err == nil })
			for n := 2; n <= 4; n++ {
				daemontest.Upgrade(t, d)
				wantAnswer(t, d, n)
			}
			if err := front.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatalf("the first process is gone: %v", err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			select {
			case err := <-ended:
				if err != nil {
					t.Errorf("the first process ends with %v", err)
				}
			case <-ctx.Done():
				t.Error("the first process does not end")
				_ = front.Process.Kill()
			}
		})
	}
}

// An argument that is no flag is mostly a command that was meant as one: the daemon is not started.
func TestLeftOverArguments(t *testing.T) {
	d := daemontest.Prepare(t, binaries.Mixed(t), daemontest.OnlyWeb)
	for arg, want := range map[string]string{"stop": "did you mean -s stop?", "serve": "unexpected argument"} {
		output, err := called(d, "-c CONF "+arg).CombinedOutput()
		if failed := (*exec.ExitError)(nil); !errors.As(err, &failed) || failed.ExitCode() != 2 || !strings.Contains(string(output), want) {
			t.Errorf("%s: %v: %s", arg, err, output)
		}
	}
}

package programs

import (
	"context"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
)

// A program that calls New and then Daemonize is told so, and starts no process: each would do the same. The program
// counts how deep it is by itself, so that this test has an end where that is not so.
func TestSecondDaemonIsRefused(t *testing.T) {
	for _, flags := range [][]string{nil, {"-f"}} {
		t.Run(strings.Join(append([]string{"flags"}, flags...), " "), func(t *testing.T) {
			d := daemontest.Prepare(t, binaries.OwnCommands(t), daemontest.OnlyWeb, "upgrade_timeout 2s")
			d.Env = []string{"OWN_CALLS=New and Daemonize"}
			endAll(t, d)
			daemon.AdoptOrphans()
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			cmd := d.Command(ctx, flags...)
			output, _ := cmd.CombinedOutput()
			said := string(output) + d.LogText() // where New has got far enough, that is its standard error
			const words = "this process has made a Daemon before: Daemonize or New is called once"
			if status := cmd.ProcessState.ExitCode(); status != 1 || strings.Count(said, words) != 1 {
				t.Errorf("status %d, said %q, want 1 and %q", status, said, words)
			}
			if starts := notes(t, d, "starts"); strings.Count(starts, "\n") != 1 {
				t.Errorf("processes and their depths:\n%swant one process", starts)
			}
			if left := daemontest.ProcessesOf(t, d); len(left) > 0 {
				t.Errorf("processes %v are left", left)
			}
		})
	}
}

// endAll kills what still runs the daemon's program at the end of the test.
func endAll(t *testing.T, d *daemon.Daemon) {
	t.Helper()
	t.Cleanup(func() {
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			left := daemontest.ProcessesOf(t, d)
			if len(left) == 0 || time.Now().After(deadline) {
				return
			}
			for _, text := range left {
				pid, _ := strconv.Atoi(text)
				if p, err := os.FindProcess(pid); err == nil {
					_ = p.Kill()
				}
				daemon.ReapProcess(pid)
			}
		}
	})
}

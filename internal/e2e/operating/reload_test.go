package operating

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
)

// wantReload has -s reload of a good program end with a status, and say what is wanted of it.
func wantReload(t *testing.T, d *daemon.Daemon, status int, want string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binaries.Mixed(t), "-v", "-s", "reload", "-c", d.Conf)
	output, _ := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != status || !regexp.MustCompile(`(?m)^`+want+`$`).Match(output) {
		t.Errorf("status %d, output %q, want %d and a line %q", cmd.ProcessState.ExitCode(), output, status, want)
	}
}

// TestReload asks the control socket, and is told why it fails.
func TestReload(t *testing.T) {
	d := daemontest.Start(t, daemontest.WebAndLine)
	for range 3 {
		reloadOnce(t, d)
	}
	serving, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	daemontest.Fault("exit")(t, d)
	wantReload(t, d, 1, fmt.Sprintf(`\[GOZDERR\] reload: upgrade failed at .+; pid %d serves on; what has failed is still in place, and the next restart will start it`, serving.PID))
}

// TestReloadWithoutASocket is of a daemon whose control socket somebody has removed: nobody could tell the outcome.
func TestReloadWithoutASocket(t *testing.T) {
	d := daemontest.Start(t, daemontest.WebAndLine)
	s, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	socket := fmt.Sprintf("%s.%d.sock", d.PIDFile, s.PID)
	daemontest.Await(t, "control socket", func() bool { return os.Remove(socket) == nil })
	wantReload(t, d, 1, `\[GOZDERR\] reload: `+regexp.QuoteMeta(socket)+`: no control socket: .*SIGHUP upgrades it.*`)
	if now, err := d.State(); err != nil || now.PID != s.PID {
		t.Errorf("%+v, %v serves, want pid %d", now, err, s.PID)
	}
}

func reloadOnce(t *testing.T, d *daemon.Daemon) {
	t.Helper()
	before, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	wantReload(t, d, 0, fmt.Sprintf(`\[GOZD\] reload: pid \d+ replaces pid %d after .+s`, before.PID))
	if now, err := d.State(); err != nil || now.Generation != before.Generation+1 {
		t.Errorf("%+v, %v serves after the reload, want generation %d", now, err, before.Generation+1)
	}
}

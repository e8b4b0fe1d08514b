package programs

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
)

func writeEnvFile(t *testing.T, d *daemon.Daemon, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(d.Dir, "app.env"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// wantValues checks what the serving generation has in the variables HOOKED_A and
// HOOKED_B.
func wantValues(t *testing.T, d *daemon.Daemon, want string) {
	t.Helper()
	conn := dialLine(t, d)
	if got := askLine(t, conn); got != want+" here\n" {
		t.Errorf("the answer is %q, want %q", got, want+" here\n")
	}
	_ = conn.Close()
}

// TestEnvFileIsReadAnew changes the file between generations: each has what the first
// was started with, and the file as it is then.
func TestEnvFileIsReadAnew(t *testing.T) {
	t.Setenv("HOOKED_B", "shell")
	d := daemontest.Prepare(t, binaries.Hooked(t), lineGroup, "env_file app.env")
	writeEnvFile(t, d, "HOOKED_A=1\nHOOKED_B=\"a file\"\n")
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantValues(t, d, "1 1 a file")
	for _, tt := range []struct{ file, want string }{
		{"HOOKED_A=2", "2 2 shell"},
		{"HOOKED_B=", "3 - "},
		{"HOOKED_A=4\nHOOKED_B=4", "4 4 4"},
		{"HOOKED_A=5\nHOOKED_B=5", "5 5 5"},
		{"", "6 - shell"},
		{"HOOKED_A=7", "7 7 shell"},
	} {
		writeEnvFile(t, d, tt.file)
		daemontest.Upgrade(t, d)
		wantValues(t, d, tt.want)
	}
	if err := d.Configure(lineGroup); err != nil {
		t.Fatal(err)
	}
	daemontest.Upgrade(t, d)
	wantValues(t, d, "8 - shell")
}

// TestBadEnvFileChangesNothing has files that cannot be read, at an upgrade, at a start
// and in the test of the configuration.
func TestBadEnvFileChangesNothing(t *testing.T) {
	d := daemontest.Prepare(t, binaries.Hooked(t), lineGroup, "env_file app.env")
	path := filepath.Join(d.Dir, "app.env")
	refuse := func(want string) {
		t.Helper()
		for _, cmd := range []*exec.Cmd{d.Command(t.Context(), "-t"), exec.Command(binaries.Gozdctl(t), "check", d.Conf)} {
			if output, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(output), want) {
				t.Errorf("%v: %v: %s, want %q", cmd.Args, err, output, want)
			}
		}
	}
	missing := d.Conf + ": [gozd]: env_file: open " + path + ": no such file or directory"
	refuse(missing)
	if err := d.Start(t.Context()); err == nil || !strings.Contains(err.Error(), missing) {
		t.Fatalf("start: %v, want %q", err, missing)
	}
	writeEnvFile(t, d, "HOOKED_A=1\n")
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ file, want string }{
		{"HOOKED_A=2\nHOOKED_B", path + ":2: missing ="},
		{"HOOKED_A=2\nGOZD_LINE_LISTEN=127.0.0.1:0\n", path + ":2: GOZD_LINE_LISTEN cannot be set here"},
		{"", missing},
	} {
		writeEnvFile(t, d, tt.file)
		if tt.want == missing {
			_ = os.Remove(path)
		}
		refuse(tt.want)
		_, err := d.Upgrade(t.Context())
		if failed := new(client.UpgradeError); !errors.As(err, &failed) ||
			failed.Stage != "configuration" || !strings.Contains(failed.Reason, tt.want) {
			t.Errorf("upgrade with %q: %v, want %q", tt.file, err, tt.want)
		}
		wantValues(t, d, "1 1 -")
	}
}

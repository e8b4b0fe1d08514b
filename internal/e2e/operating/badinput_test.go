package operating

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/shortdir"
)

// TestBadInputAtStart starts daemons that cannot start, in the background and in
// the foreground, with -v and without: each says why in a clear line, with
// status 1, and leaves nothing behind.
func TestBadInputAtStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	for _, tt := range []struct {
		name, groups string
		options      []string
		want         string // a regular expression
	}{
		{name: "unknown key", groups: "[web]\nmode http\nlistne 80\n", want: `app\.conf:5: \[web\]: unknown key "listne" \(did you mean "listen"\?\)`},
		{
			name: "missing key file", groups: "[secure]\nmode https\nlisten 127.0.0.1:0\nkey none.pem\ncert cert.pem\n",
			want: `app\.conf:3: \[secure\]: cert /.*cert\.pem and key /.*none\.pem: open .*none\.pem: no such file or directory`,
		},
		{
			name: "mismatched pair", groups: "[secure]\nmode https\nlisten 127.0.0.1:0\nkey " + otherKey(t) + "\ncert cert.pem\n",
			want: `app\.conf:3: \[secure\]: cert .* and key .*key\.pem: tls: private key does not match public key`,
		},
		{
			name: "address in use", groups: "[web]\nmode http\nlisten " + taken.Addr().String() + "\n",
			want: `app\.conf:3: \[web\]: listen tcp 127\.0\.0\.1:\d+: bind: address already in use`,
		},
		{
			name: "unknown group in the program", groups: "[nobody]\nmode tcp\nlisten 127.0.0.1:0\n", options: []string{"upgrade_timeout 300ms"},
			want: `not ready after 300ms: group nobody is not being accepted on`,
		},
		{
			name: "PID directory cannot be written", groups: "[web]\nmode http\nlisten 127.0.0.1:0\n", options: []string{"pidfile /proc/none/app.pid"},
			want: `PID file /proc/none/app\.pid: mkdir /proc/none: no such file or directory`,
		},
		{
			name: "unknown user", groups: "[web]\nmode http\nlisten 127.0.0.1:0\n", options: []string{"user nobody-of-that-name"},
			want: `app\.conf: \[gozd\]: user "nobody-of-that-name": user: unknown user nobody-of-that-name`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := daemontest.PrepareBare(t, tt.groups, tt.options)
			for _, foreground := range []bool{false, true} {
				for _, verbose := range []bool{false, true} {
					wantStartError(t, d, foreground, verbose, tt.want)
				}
			}
			daemontest.WantNothingLeft(t, d)
		})
	}
}

// otherKey makes a key that belongs to no certificate of ours.
func otherKey(t *testing.T) string {
	t.Helper()
	dir := shortdir.Make(t)
	if _, err := daemon.New(dir, binaries.Mixed(t), ""); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "key.pem")
}

// wantStartError runs the program once and checks what it says and its status.
func wantStartError(t *testing.T, d *daemon.Daemon, foreground, verbose bool, want string) {
	t.Helper()
	args, mark := []string{"-c", d.Conf}, "mixed: "
	if foreground {
		args = append(args, "-f")
	}
	if verbose {
		args, mark = append(args, "-v"), "[GOZDERR] "
	}
	cmd := exec.CommandContext(t.Context(), d.Binary, args...)
	cmd.Dir = d.Dir
	output, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("%v: %v, want status 1", args[2:], err)
	}
	if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(mark) + `.*` + want + `$`).Match(output) {
		t.Errorf("%v: output %q, want a line %s... %s", args[2:], output, mark, want)
	}
}

// TestCommandsWithoutADaemon uses -s where nothing runs.
func TestCommandsWithoutADaemon(t *testing.T) {
	d := daemontest.Prepare(t, binaries.Mixed(t), "[web]\nmode http\nlisten 127.0.0.1:0\n")
	for _, command := range []string{"stop", "quit", "reopen", "reload"} {
		cmd := d.Command(t.Context(), "-s", command)
		output, _ := cmd.CombinedOutput()
		want := fmt.Sprintf("[GOZDERR] %s: %s: not running (no PID file)\n", command, d.PIDFile)
		if cmd.ProcessState.ExitCode() != 1 || string(output) != want {
			t.Errorf("-s %s: status %d, output %q, want 1 and %q", command, cmd.ProcessState.ExitCode(), output, want)
		}
	}
	if err := os.WriteFile(d.PIDFile, []byte("1\n"), 0o644); err != nil { // stale, and somebody else's by now
		t.Fatal(err)
	}
	cmd := d.Command(t.Context(), "-s", "stop")
	output, _ := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(output), "the file is stale: it names pid 1, and nobody holds the daemon's lock") {
		t.Errorf("-s stop with a stale PID file: status %d, output %q", cmd.ProcessState.ExitCode(), output)
	}
	if err := d.Start(t.Context()); err != nil {
		t.Errorf("a stale PID file keeps the daemon from starting: %v", err)
	}
}

// TestUsage gives flags that make no sense.
func TestUsage(t *testing.T) {
	d := daemontest.Prepare(t, binaries.Mixed(t), "[web]\nmode http\nlisten 127.0.0.1:0\n")
	for _, args := range [][]string{{"-s", "restart"}, {"-x"}} {
		cmd := d.Command(t.Context(), args...)
		output, _ := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != 2 {
			t.Errorf("%v: status %d, want 2; output %q", args, cmd.ProcessState.ExitCode(), output)
		}
	}
}

// TestConfigurationTest uses -t on a good and on a bad configuration, and gozdctl
// check does the same.
func TestConfigurationTest(t *testing.T) {
	d := daemontest.Prepare(t, binaries.Mixed(t), "[web]\nmode http\nlisten 127.0.0.1:0\n")
	for _, cmd := range []*exec.Cmd{d.Command(t.Context(), "-t"), exec.Command(binaries.Gozdctl(t), "check", d.Conf)} {
		output, err := cmd.CombinedOutput()
		if want := d.Conf + ": the configuration is good\n"; err != nil || string(output) != want {
			t.Errorf("%v: %v, output %q, want %q", cmd.Args[1:], err, output, want)
		}
	}
	if err := d.Configure("[web]\nmode htp\nlisten 127.0.0.1:0\n[secure]\nmode https\nlisten 99999\nkey key.pem\n"); err != nil {
		t.Fatal(err)
	}
	for _, cmd := range []*exec.Cmd{d.Command(t.Context(), "-t"), exec.Command(binaries.Gozdctl(t), "check", d.Conf)} {
		output, _ := cmd.CombinedOutput()
		for _, want := range []string{`app.conf:5: [web]:`, `(did you mean "http"?)`, `app.conf:9: [secure]:`, "cert is missing"} {
			if cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(output), want) {
				t.Errorf("%v: status %d, output %q, want 1 and %q in it", cmd.Args[1:], cmd.ProcessState.ExitCode(), output, want)
			}
		}
	}
}

// TestGozdctl upgrades and looks, with and without a daemon, and with a binary that
// fails.
func TestGozdctl(t *testing.T) {
	d := daemontest.Prepare(t, binaries.Mixed(t), daemontest.WebAndLine, "upgrade_timeout 2s")
	gozdctl := func(wantStatus int, want string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), binaries.Gozdctl(t), args...)
		output, _ := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != wantStatus || !regexp.MustCompile(want).Match(output) {
			t.Errorf("%v: status %d, output %q, want %d and %s", args, cmd.ProcessState.ExitCode(), output, wantStatus, want)
		}
	}
	gozdctl(3, `^gozdctl: upgrade: .*app\.pid: not running`, "upgrade", d.PIDFile)
	gozdctl(3, `^gozdctl: status: .*app\.pid: not running`, "status", d.PIDFile)
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	gozdctl(0, fmt.Sprintf(`(?m)^upgraded: pid \d+ \(generation 2\) replaces pid %d \(generation 1\), ready after [0-9.]+ m?s$`, s.PID), "upgrade", d.PIDFile)
	if s, err = d.State(); err != nil {
		t.Fatal(err)
	}
	gozdctl(0, fmt.Sprintf(`app\.pid: generation 2 \(pid %d\) serves`, s.PID), "status", d.PIDFile)
	daemontest.Fault("exit early")(t, d)
	gozdctl(1, fmt.Sprintf(`(?m)^gozdctl: upgrade: .*exit status 3; pid %d serves on$`, s.PID), "upgrade", d.PIDFile)
	daemontest.InstallGood(t, d)
	gozdctl(0, `generation 3`, "upgrade", d.PIDFile)
	if _, err := d.State(); err != nil { // for the cleanup
		t.Error(err)
	}
}

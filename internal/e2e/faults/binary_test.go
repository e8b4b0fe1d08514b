package faults

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loadtest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// unusable are files in the binary's place that cannot be started, with what the
// operator is told of each after its name. Each returns what puts an end to it.
var unusable = []struct {
	name  string
	place func(t *testing.T, d *daemon.Daemon) (end func())
	want  string
}{
	{"deleted", func(t *testing.T, d *daemon.Daemon) func() {
		t.Helper()
		if err := os.Remove(d.Binary); err != nil {
			t.Fatal(err)
		}
		return func() {}
	}, "no such file or directory"},
	{"not executable", program(0o644, func(b []byte) []byte { return b }), "permission denied: it is not executable (-rw-r--r--)"},
	{"of another machine", program(0o755, forAnotherMachine), noProgram},
	{"cut off in its header", program(0o755, func(b []byte) []byte { return b[:100] }), noProgram},
	{"empty", program(0o755, func(b []byte) []byte { return b[:0] }), "exec format error: it is empty"},
	{"text", program(0o755, func([]byte) []byte { return []byte("<html>404</html>\n") }), noProgram},
	{"being written", beingWritten, "text file busy: it is still being written; install a new binary by rename"},
	{
		"a script without its interpreter", program(0o755, func([]byte) []byte { return []byte("#! /nowhere/sh -e\n") }),
		"no such file or directory: it is there, but not the interpreter that it names: /nowhere/sh",
	},
	{"a directory", func(t *testing.T, d *daemon.Daemon) func() {
		t.Helper()
		if err := errors.Join(os.Remove(d.Binary), os.Mkdir(d.Binary, 0o755)); err != nil {
			t.Fatal(err)
		}
		return func() { _ = os.Remove(d.Binary) }
	}, "is a directory"},
}

const noProgram = "exec format error: it is no program for this machine (" + runtime.GOOS + "/" + runtime.GOARCH + ")"

// program installs what change makes of a program that works.
func program(mode os.FileMode, change func([]byte) []byte) func(*testing.T, *daemon.Daemon) func() {
	return func(t *testing.T, d *daemon.Daemon) func() {
		t.Helper()
		content, err := os.ReadFile(binaries.Mixed2(t))
		if err != nil {
			t.Fatal(err)
		}
		daemontest.Replace(string(change(content)), mode)(t, d)
		return func() {}
	}
}

// forAnotherMachine changes the machine in an ELF header (elf(5), e_machine).
func forAnotherMachine(content []byte) []byte {
	other := elf.EM_AARCH64
	if runtime.GOARCH == "arm64" {
		other = elf.EM_X86_64
	}
	binary.NativeEndian.PutUint16(content[18:], uint16(other))
	return content
}

// beingWritten holds a new binary open for writing.
func beingWritten(t *testing.T, d *daemon.Daemon) func() {
	t.Helper()
	if err := daemon.Install(binaries.Mixed2(t), d.Binary); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(d.Binary, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return func() { _ = f.Close() }
}

// TestUnusableBinaryIsNamed has upgrades find something in the binary's place that
// the system does not start. gozdctl and the log say what is wrong with which file,
// and the daemon serves on. TestBadBinaryLeavesTheOldOneServing has those that start.
func TestUnusableBinaryIsNamed(t *testing.T) {
	require.Linux(t)
	d := daemontest.Start(t, daemontest.OnlyWeb)
	s, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	l := loadtest.StartLight(t, d)
	for _, tt := range unusable {
		end := tt.place(t, d)
		output, err := exec.CommandContext(t.Context(), binaries.Gozdctl(t), "upgrade", d.PIDFile).CombinedOutput()
		end()
		reason := fmt.Sprintf("upgrade failed at start: %s: %s", d.Binary, tt.want)
		if want := fmt.Sprintf("gozdctl: upgrade: %s; pid %d serves on\n", reason, s.PID); err == nil || !strings.Contains("\n"+string(output), "\n"+want) {
			t.Errorf("%s: %v, gozdctl says %q, want a line %q", tt.name, err, output, want)
		}
		if !strings.Contains(d.LogText(), reason+`"`) {
			t.Errorf("%s: the log does not say %q", tt.name, reason)
		}
		loadtest.AwaitExchanges(t, l.Recorder(), 1)
	}
	daemontest.UpgradeToOther(t, d)
	loadtest.AwaitServed(t, l.Recorder(), 2)
	loadtest.End(t, l)
}

// TestTruncatedBinary cuts the binary off where the system does not see it: the process
// is started, and killed when it reaches for what is missing.
func TestTruncatedBinary(t *testing.T) {
	require.Linux(t)
	d := daemontest.Start(t, daemontest.OnlyWeb)
	l := loadtest.StartLight(t, d)
	want := regexp.MustCompile(`^upgrade failed at start: child pid=\d+ exited: signal: .*: is ` + regexp.QuoteMeta(d.Binary) + ` whole\?$`)
	for _, percent := range []int{1, 20, 50} {
		program(0o755, func(b []byte) []byte { return b[:len(b)*percent/100] })(t, d)
		_, err := d.Upgrade(t.Context())
		failed := new(client.UpgradeError)
		if !errors.As(err, &failed) || !want.MatchString(failed.Error()) {
			t.Errorf("%d%%: upgrade = %v, want a reason that matches %v", percent, err, want)
		}
		loadtest.AwaitExchanges(t, l.Recorder(), 1)
	}
	daemontest.UpgradeToOther(t, d)
	loadtest.End(t, l)
}

// TestManyFailedUpgrades has an upgrade fail and another succeed, again and again:
// failures leave nothing behind, neither in the daemon nor in its successors.
func TestManyFailedUpgrades(t *testing.T) {
	require.Linux(t)
	const failures = 30
	d := daemontest.Start(t, daemontest.OnlyWeb+daemontest.Asking)
	first := daemontest.Measure(t, d)
	l := loadtest.StartLight(t, d)
	for n := range failures {
		if i := n % (len(unusable) + len(daemontest.Crashes)); i < len(daemontest.Crashes) {
			daemontest.UpgradeToCrash(t, d, daemontest.Crashes[i])
		} else {
			end := unusable[i-len(daemontest.Crashes)].place(t, d)
			_, err := d.Upgrade(t.Context())
			end()
			if failed := new(client.UpgradeError); !errors.As(err, &failed) {
				t.Fatalf("upgrade to what is %s: %v", unusable[i-len(daemontest.Crashes)].name, err)
			}
		}
		daemontest.UpgradeToOther(t, d)
	}
	if s, err := d.State(); err != nil || s.Generation != failures+1 {
		t.Errorf("the state is %+v, %v, want generation %d", s, err, failures+1)
	}
	loadtest.AwaitServed(t, l.Recorder(), failures+1)
	loadtest.End(t, l)
	daemontest.WantNoMore(t, d, first)
}

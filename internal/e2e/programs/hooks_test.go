package programs

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
)

const lineGroup = "[line]\nmode tcp\nlisten 127.0.0.1:0\nstop_timeout 100ms\n"

// startHooked starts a daemon of the program hooked.
func startHooked(t *testing.T, options ...string) *daemon.Daemon {
	t.Helper()
	d := daemontest.Prepare(t, binaries.Hooked(t), lineGroup, options...)
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

// setHook says what OnUpgrade does from now on; "" for nothing.
func setHook(t *testing.T, d *daemon.Daemon, what string) {
	t.Helper()
	path := filepath.Join(d.Dir, "hook")
	if err := os.WriteFile(path+".next", []byte(what), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".next", path); err != nil {
		t.Fatal(err)
	}
	if what == "" {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

// notes returns what the hooks have written into a file.
func notes(t *testing.T, d *daemon.Daemon, file string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(d.Dir, file))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return string(data)
}

// awaitNotes waits until just that is in the file.
func awaitNotes(t *testing.T, d *daemon.Daemon, file, want string) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		got := notes(t, d, file)
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s has %q after 30 s, want %q", file, got, want)
		}
		time.Sleep(time.Millisecond)
	}
}

// dialLine opens a connection to the serving generation, and returns when it is being
// served there: the generation before may accept for a moment yet.
func dialLine(t *testing.T, d *daemon.Daemon) net.Conn {
	t.Helper()
	s, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	to := daemontest.Target(t, d, "line")
	for {
		conn, err := net.Dial(to.Network, to.Address)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(askLine(t, conn), fmt.Sprintf("%d ", s.Generation)) {
			t.Cleanup(func() { _ = conn.Close() })
			return conn
		}
		_ = conn.Close()
	}
}

// askLine returns the answer to a line.
func askLine(t *testing.T, conn net.Conn) string {
	t.Helper()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintln(conn, "here"); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 200)
	n, err := conn.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

// wantRefusal upgrades in vain.
func wantRefusal(t *testing.T, d *daemon.Daemon, reason string) {
	t.Helper()
	before, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.Upgrade(t.Context())
	failed := new(client.UpgradeError)
	if !errors.As(err, &failed) || failed.PID != before.PID || failed.Error() != reason {
		t.Fatalf("upgrade returned %v, want %q and that pid %d serves on", err, reason, before.PID)
	}
	after, err := d.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if u := after.Upgrades; after.Generation != before.Generation || u.LastFailure != reason || u.InProgress {
		t.Errorf("generation %d says %+v, want generation %d and the failure %q", after.Generation, u, before.Generation, reason)
	}
	dialLine(t, d)
}

// TestProgramRefusesAnUpgrade has the program's words reach who asked.
func TestProgramRefusesAnUpgrade(t *testing.T) {
	d := startHooked(t)
	setHook(t, d, "refuse a backup is running")
	wantRefusal(t, d, "upgrade refused: a backup is running")
	output, err := exec.CommandContext(t.Context(), binaries.Gozdctl(t), "upgrade", d.PIDFile).CombinedOutput()
	if exit := new(exec.ExitError); !errors.As(err, &exit) || exit.ExitCode() != 1 ||
		!strings.HasPrefix(string(output), "gozdctl: upgrade: upgrade refused: a backup is running; pid ") {
		t.Errorf("gozdctl upgrade: %v: %s", err, output)
	}
	if got := notes(t, d, "asked"); got != "refuse\nrefuse\n" {
		t.Errorf("OnUpgrade was called for %q, want twice", got)
	}
	if log := d.LogText(); strings.Contains(log, "generation=2") {
		t.Error("a second generation was started")
	}
	setHook(t, d, "")
	daemontest.Upgrade(t, d)
	awaitNotes(t, d, "replaced", "1\n")
}

// TestUpgradeHookHasATimeLimit has hooks that look at their context, and that do not.
func TestUpgradeHookHasATimeLimit(t *testing.T) {
	d := startHooked(t, "upgrade_timeout 3s") // it has time for the upgrade at the end, too
	const reason = "upgrade refused: OnUpgrade has not returned after 3s"
	setHook(t, d, "wait")
	wantRefusal(t, d, reason)
	awaitNotes(t, d, "asked", "wait\ncontext deadline exceeded\n")
	setHook(t, d, "hang")
	wantRefusal(t, d, reason)
	wantRefusal(t, d, reason) // still on the first call
	const asked = "wait\ncontext deadline exceeded\nhang\n"
	awaitNotes(t, d, "asked", asked)
	setHook(t, d, "")
	awaitNotes(t, d, "asked", asked+"returned\n")
	daemontest.Upgrade(t, d)
}

// TestStopDuringUpgradeHook stops a daemon whose program thinks about an upgrade.
func TestStopDuringUpgradeHook(t *testing.T) {
	for _, what := range []string{"wait", "hang"} {
		t.Run(what, func(t *testing.T) {
			d := startHooked(t)
			setHook(t, d, what)
			daemontest.SignalServing(t, d, syscall.SIGHUP)
			awaitNotes(t, d, "asked", what+"\n")
			if output, err := d.Command(t.Context(), "-s", "stop").CombinedOutput(); err != nil {
				t.Errorf("-s stop: %v: %s", err, output)
			}
			if err := d.WaitAlive(t.Context(), 0); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestParentExitIsToldOnce keeps connections in some generations. In each that serves
// when its predecessor has gone the hook is called once, and finds it gone.
func TestParentExitIsToldOnce(t *testing.T) {
	d := startHooked(t)
	awaitNotes(t, d, "parent-exits", "1 true\n") // there is none
	first := dialLine(t, d)
	daemontest.Upgrade(t, d)
	daemontest.Upgrade(t, d) // the second generation ends before the first
	awaitNotes(t, d, "parent-exits", "1 true\n3 true\n")
	third := dialLine(t, d)
	daemontest.Upgrade(t, d)
	if got := notes(t, d, "parent-exits"); got != "1 true\n3 true\n" {
		t.Errorf("while the third generation lives: %q", got)
	}
	_ = third.Close()
	awaitNotes(t, d, "parent-exits", "1 true\n3 true\n4 true\n")
	_ = first.Close()
	if err := d.WaitAlive(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if got := notes(t, d, "parent-exits"); got != "1 true\n3 true\n4 true\n" {
		t.Errorf("at the end: %q", got)
	}
	awaitNotes(t, d, "replaced", "1\n2\n3\n")
}

// TestParentExitAfterReplacement has a generation learn that its predecessor is gone
// when it drains itself.
func TestParentExitAfterReplacement(t *testing.T) {
	d := startHooked(t)
	first := dialLine(t, d)
	daemontest.Upgrade(t, d)
	dialLine(t, d)
	daemontest.Upgrade(t, d)
	if got := notes(t, d, "parent-exits"); got != "1 true\n" {
		t.Errorf("while both older generations live: %q", got)
	}
	_ = first.Close()
	awaitNotes(t, d, "parent-exits", "1 true\n2 true\n")
}

// TestReplacedHookKeepsItsGeneration has a generation wait for its hook as it does for
// connections, and not when it is asked to stop.
func TestReplacedHookKeepsItsGeneration(t *testing.T) {
	d := startHooked(t)
	hold := filepath.Join(d.Dir, "hold")
	for range 2 {
		if err := os.WriteFile(hold, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		before, err := d.State()
		if err != nil {
			t.Fatal(err)
		}
		daemontest.Upgrade(t, d)
		daemontest.AwaitLog(t, d, fmt.Sprintf(`msg="drain finished" generation=%d `, before.Generation))
		if alive := d.Alive(); len(alive) != 2 {
			t.Errorf("%d generations live while the hook runs, want 2", len(alive))
		}
		if before.Generation == 1 {
			if err := os.Remove(hold); err != nil {
				t.Fatal(err)
			}
			if err := d.WaitAlive(t.Context(), 1); err != nil {
				t.Error(err)
			}
		}
	}
	daemontest.SignalServing(t, d, syscall.SIGTERM)
	if err := d.WaitAlive(t.Context(), 0); err != nil {
		t.Error(err)
	}
	daemontest.AwaitLog(t, d, `msg="OnReplaced or OnDrain has not returned" generation=2 `)
	awaitNotes(t, d, "replaced", "1\n2\n")
}

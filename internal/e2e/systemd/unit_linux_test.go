package systemd

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/sysd"
)

// patience bounds every wait for something that ought to happen.
const patience = 30 * time.Second

// pollInterval is long, since each look starts five programs.
const pollInterval = 200 * time.Millisecond

// unit is an installed app.service in a machine of its own.
type unit struct {
	*sysd.Machine
	tb   testing.TB
	dir  string // the same inside and outside
	addr string // where the group web listens
}

// suites are the systems whose systemd the units are tested with: 252 and 257.
var suites = []struct {
	name string
	root func(tb testing.TB) string
}{
	{"host", hostRoot},
	{"trixie", trixieRoot},
}

// onEach tests with every system, side by side: a test mostly waits.
func onEach(t *testing.T, test func(t *testing.T, root string)) {
	t.Helper()
	for _, s := range suites {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			test(t, s.root(t))
		})
	}
}

func hostRoot(testing.TB) string { return sysd.Host }

func trixieRoot(tb testing.TB) string {
	tb.Helper()
	return sysd.Root(tb, "trixie")
}

// install boots a machine that has the program mixed, the shipped unit file as app.service with extra lines for its
// section [Service], and a group web, with the options given, in its configuration.
func install(t *testing.T, root, file, web, service string) *unit {
	t.Helper()
	require.Root(t)
	must(t, build())
	// Not t.TempDir, which the user of a hardened unit could not enter.
	dir, err := os.MkdirTemp("/var/tmp", "gozd-unit-") //nolint:usetesting // see above
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	u := &unit{tb: t, dir: dir}
	u.Machine = sysd.Boot(t, root, dir, binaries)
	u.run("mkdir", "-p", "/etc/app", "/etc/systemd/system/app.service.d")
	u.shipped(file, "app.service")
	if service != "" {
		u.write("/etc/systemd/system/app.service.d/test.conf", "[Service]\n"+service+"\n")
	}
	u.configure(web)
	u.program("mixed")
	u.copy(filepath.Join(binaries, "gozdctl"), "/usr/local/bin/gozdctl")
	u.run("systemctl", "daemon-reload")
	t.Cleanup(u.tell)
	return u
}

var must = require.NoError

// run runs a command that must not fail.
func (u *unit) run(args ...string) string {
	u.tb.Helper()
	out, err := u.Exec(args...)
	must(u.tb, err)
	return strings.TrimSpace(out)
}

// copy puts a file in the place of another by a rename, as an operator would.
func (u *unit) copy(from, to string) {
	u.tb.Helper()
	u.run("sh", "-c", `install -m 755 "$1" "$2.new" && mv "$2.new" "$2"`, "_", from, to)
}

func (u *unit) write(path, text string) {
	u.tb.Helper()
	tmp := filepath.Join(u.dir, "file")
	must(u.tb, os.WriteFile(tmp, []byte(text), 0o644))
	u.run("cp", tmp, path)
}

// program installs the newest binary.
func (u *unit) program(name string) { u.copy(filepath.Join(binaries, name), "/usr/local/bin/app") }

func (u *unit) configure(web string) {
	u.write("/etc/app/app.conf", "[gozd]\npidfile /run/app/app.pid\nupgrade_timeout 2s\n[web]\nmode http\n"+web+"\n")
}

// shipped installs a file of examples/deploy/systemd.
func (u *unit) shipped(file, as string) {
	u.tb.Helper()
	text, err := os.ReadFile(filepath.Join("../../../examples/deploy/systemd", file))
	must(u.tb, err)
	u.write("/etc/systemd/system/"+as, string(text))
}

// tell has a test that failed say what the unit has done.
func (u *unit) tell() {
	if u.tb.Failed() {
		out, _ := u.Exec("journalctl", "-n", "80", "--no-pager", "-o", "short-precise", "-u", "app.service")
		u.tb.Logf("journal:\n%s", out)
	}
}

// show returns a property of the unit.
func (u *unit) show(property string) string {
	u.tb.Helper()
	return u.run("systemctl", "show", "--value", "-p", property, "app.service")
}

func (u *unit) mainPID() int {
	u.tb.Helper()
	pid, err := strconv.Atoi(u.show("MainPID"))
	must(u.tb, err)
	return pid
}

// serving is the PID of the generation that serves, and its number.
func (u *unit) serving() (pid, generation int) {
	u.tb.Helper()
	var status string
	var err error
	u.await("in its state file", func() bool { // which is the last thing that a start does, after systemd has been told
		status, err = u.Exec("cat", "/run/app/app.pid.state")
		return err == nil
	})
	_, err = fmt.Sscanf(field(status, "pid"), "%d", &pid)
	must(u.tb, err)
	_, err = fmt.Sscanf(field(status, "generation"), "%d", &generation)
	must(u.tb, err)
	return pid, generation
}

// field finds a number in JSON with one value a line.
func field(text, name string) string {
	_, rest, _ := strings.Cut(text, `"`+name+`":`)
	return strings.TrimSpace(rest)
}

func (u *unit) target() load.Target { return load.Target{Network: networkOf(u.addr), Address: u.addr} }

func networkOf(address string) string {
	if strings.HasPrefix(address, "/") {
		return "unix"
	}
	return "tcp"
}

// await waits until what is asked for is so.
func (u *unit) await(what string, so func() bool) {
	u.tb.Helper()
	deadline := time.Now().Add(patience)
	for !so() {
		if time.Now().After(deadline) {
			u.tb.Fatalf("after %v: not %s", patience, what)
		}
		time.Sleep(pollInterval)
	}
}

// wantWell checks that the unit is as if nothing had ever happened to it.
func (u *unit) wantWell(mainPID int) {
	u.tb.Helper()
	if state, sub := u.show("ActiveState"), u.show("SubState"); state != "active" || sub != "running" {
		u.tb.Errorf("the unit is %s (%s)", state, sub)
	}
	if pid := u.mainPID(); pid != mainPID {
		u.tb.Errorf("main PID %d, want %d as before", pid, mainPID)
	}
	u.await("without zombies", func() bool { return !strings.Contains(u.run("ps", "-e", "-o", "stat="), "Z") })
	if n := u.show("NRestarts"); n != "0" {
		u.tb.Errorf("it was restarted %s times", n)
	}
}

// underLoad calls do while clients of several kinds are busy, none of which may fail.
func (u *unit) underLoad(do func()) {
	u.tb.Helper()
	l := load.New(nil)
	l.Interval = 2 * time.Millisecond
	l.Add("new connections", 2, func() (load.Client, error) { return load.NewGet(u.target(), load.GetOptions{}) })
	l.Add("keep-alive", 3, func() (load.Client, error) {
		return load.NewKeepAlive(u.target(), load.KeepAliveOptions{BodySize: 1000})
	})
	l.Start(u.tb.Context())
	do()
	if err := l.Stop(); err != nil {
		u.tb.Error(err)
	}
	if s := l.Recorder().Snapshot().Total; s.Requests == 0 || s.Failed > 0 {
		u.tb.Errorf("%d of %d requests failed: %v", s.Failed, s.Requests, s.Errors)
	}
}

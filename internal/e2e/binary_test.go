package e2e

import (
	"context"
	"debug/elf"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

const (
	onlyWeb = "[web]\nmode http\nlisten 127.0.0.1:0\n"

	// lightly is how often each client of a light load asks.
	lightly = 10 * time.Millisecond
)

// get asks a group that speaks HTTP, by a connection of its own.
func get(t *testing.T, to load.Target, path string) []byte {
	t.Helper()
	client := &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, to.Network, to.Address)
			},
			DisableKeepAlives: true,
		},
		Timeout: 30 * time.Second,
	}
	resp, err := client.Get("http://localhost" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// version asks who serves a group which of the two programs it is.
func version(t *testing.T, to load.Target) string {
	t.Helper()
	var who struct{ Version string }
	if err := json.Unmarshal(get(t, to, "/"), &who); err != nil {
		t.Fatal(err)
	}
	return who.Version
}

// TestLinkToAnotherRelease starts a daemon by a path with a symbolic link in it, as
// deployments have it. The release that the link names when an upgrade begins is
// the new binary, also if it is an older one.
func TestLinkToAnotherRelease(t *testing.T) {
	for _, tt := range []struct {
		name   string
		link   string // relative to the daemon's directory, like what follows
		binary string
		to     func(release string) string
	}{
		{"of the directory", "current", "current/mixed", func(release string) string { return "releases/" + release }},
		{"of the file", "app", "app", func(release string) string { return "releases/" + release + "/mixed" }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := prepare(t, programs.mixed, onlyWeb)
			for release, program := range map[string]string{"41": programs.mixed, "42": programs.mixed2} {
				dir := filepath.Join(d.Dir, "releases", release)
				if err := os.MkdirAll(dir, 0o755); err != nil {
					t.Fatal(err)
				}
				if err := daemon.Install(program, filepath.Join(dir, "mixed")); err != nil {
					t.Fatal(err)
				}
			}
			d.Binary = filepath.Join(d.Dir, tt.binary)
			point(t, filepath.Join(d.Dir, tt.link), tt.to("41"))
			if err := d.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, release := range []struct{ name, version string }{{"42", "2"}, {"41", "1"}, {"42", "2"}} {
				point(t, filepath.Join(d.Dir, tt.link), tt.to(release.name))
				up, err := d.Upgrade(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if up.New.Binary != d.Binary {
					t.Errorf("the binary is %s, want %s", up.New.Binary, d.Binary)
				}
				awaitEnd(t, up.Old)
				if got := version(t, target(t, d, "web")); got != release.version {
					t.Errorf("release %s: version %s serves, want %s", release.name, got, release.version)
				}
			}
		})
	}
}

// point has the link name another file, by a rename.
func point(t *testing.T, link, to string) {
	t.Helper()
	if err := os.Symlink(to, link+".next"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(link+".next", link); err != nil {
		t.Fatal(err)
	}
}

// awaitEnd waits until a generation is gone, and with it the last answers that it
// gives.
func awaitEnd(t *testing.T, s *process.State) {
	t.Helper()
	await(t, fmt.Sprintf("end of pid %d", s.PID), func() bool {
		daemon.ReapProcess(s.PID)
		p, err := process.Open(s.PID, s.StartTime)
		if err == nil {
			p.Close()
		}
		return err != nil
	})
}

// TestRelativeBinary starts a daemon by a path that is not absolute; the program goes
// to another directory before it calls gozd. Upgrades find the binary all the same.
func TestRelativeBinary(t *testing.T) {
	for _, arg0 := range []string{"./faulty", "sub/../faulty", "faulty"} {
		for _, foreground := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s in the foreground %v", filepath.ToSlash(arg0), foreground), func(t *testing.T) {
				d := prepare(t, programs.faulty, onlyWeb)
				if err := os.Mkdir(filepath.Join(d.Dir, "sub"), 0o755); err != nil {
					t.Fatal(err)
				}
				fault("elsewhere early")(t, d)
				cmd := d.Command(t.Context())
				cmd.Args[0] = arg0
				cmd.Env = append(os.Environ(), "PATH="+d.Dir)
				begin(t, d, cmd, foreground)
				for range 2 {
					up, err := d.Upgrade(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					if up.New.Binary != d.Binary {
						t.Errorf("the binary is %s, want %s", up.New.Binary, d.Binary)
					}
				}
			})
		}
	}
}

// begin starts a daemon by a command of the caller's.
func begin(t *testing.T, d *daemon.Daemon, cmd *exec.Cmd, foreground bool) {
	t.Helper()
	daemon.AdoptOrphans()
	if !foreground {
		if output, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, output)
		}
	} else {
		cmd.Args = append(cmd.Args, "-f")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() { _ = cmd.Wait(); close(ended) }()
		t.Cleanup(func() { <-ended }) // the context has killed it by then, if it is still there
	}
	await(t, "state file", func() bool { _, err := d.State(); return err == nil })
}

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
		content, err := os.ReadFile(programs.mixed2)
		if err != nil {
			t.Fatal(err)
		}
		install(string(change(content)), mode)(t, d)
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
	if err := daemon.Install(programs.mixed2, d.Binary); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(d.Binary, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return func() { _ = f.Close() }
}

// onLinux is a test of what its kernel says, and of what is in its /proc.
func onLinux(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		require.Missing(t, "this is not Linux")
	}
}

// TestUnusableBinaryIsNamed has upgrades find something in the binary's place that
// the system does not start. gozdctl and the log say what is wrong with which file,
// and the daemon serves on. TestBadBinaryLeavesTheOldOneServing has those that start.
func TestUnusableBinaryIsNamed(t *testing.T) {
	onLinux(t)
	d := start(t, onlyWeb)
	s, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	l := lightLoad(t, d)
	for _, tt := range unusable {
		end := tt.place(t, d)
		output, err := exec.CommandContext(t.Context(), programs.gozdctl, "upgrade", d.PIDFile).CombinedOutput()
		end()
		reason := fmt.Sprintf("upgrade failed at start: %s: %s", d.Binary, tt.want)
		if want := fmt.Sprintf("gozdctl: upgrade: %s; pid %d serves on\n", reason, s.PID); err == nil || !strings.Contains("\n"+string(output), "\n"+want) {
			t.Errorf("%s: %v, gozdctl says %q, want a line %q", tt.name, err, output, want)
		}
		if !strings.Contains(d.LogText(), reason+`"`) {
			t.Errorf("%s: the log does not say %q", tt.name, reason)
		}
		awaitExchanges(t, l.Recorder(), 1)
	}
	upgradeToOther(t, d)
	awaitServed(t, l.Recorder(), 2)
	endLightLoad(t, l)
}

// lightLoad has a few clients of a daemon's web group, which leave the machine alone
// most of the time.
func lightLoad(t *testing.T, d *daemon.Daemon) *load.Load {
	t.Helper()
	l := load.New(nil)
	l.Interval = lightly
	httpClients(l, target(t, d, "web"))
	l.Start(t.Context())
	return l
}

func endLightLoad(t *testing.T, l *load.Load) {
	t.Helper()
	if err := l.Stop(); err != nil {
		t.Error(err)
	}
	wantNoneFailed(t, l.Recorder())
}

// TestTruncatedBinary cuts the binary off where the system does not see it: the process
// is started, and killed when it reaches for what is missing.
func TestTruncatedBinary(t *testing.T) {
	onLinux(t)
	d := start(t, onlyWeb)
	l := lightLoad(t, d)
	want := regexp.MustCompile(`^upgrade failed at start: child pid=\d+ exited: signal: .*: is ` + regexp.QuoteMeta(d.Binary) + ` whole\?$`)
	for _, percent := range []int{1, 20, 50} {
		program(0o755, func(b []byte) []byte { return b[:len(b)*percent/100] })(t, d)
		_, err := d.Upgrade(t.Context())
		failed := new(control.FailedError)
		if !errors.As(err, &failed) || !want.MatchString(failed.Reason) {
			t.Errorf("%d%%: upgrade = %v, want a reason that matches %v", percent, err, want)
		}
		awaitExchanges(t, l.Recorder(), 1)
	}
	upgradeToOther(t, d)
	endLightLoad(t, l)
}

// TestHundredFailedUpgrades has an upgrade fail and another succeed, a hundred times:
// failures leave nothing behind, neither in the daemon nor in its successors.
func TestHundredFailedUpgrades(t *testing.T) {
	onLinux(t)
	d := start(t, onlyWeb+asking)
	first := measure(t, d)
	l := lightLoad(t, d)
	for n := range 100 {
		if i := n % (len(unusable) + len(crashes)); i < len(crashes) {
			upgradeToCrash(t, d, crashes[i])
		} else {
			end := unusable[i-len(crashes)].place(t, d)
			_, err := d.Upgrade(t.Context())
			end()
			if failed := new(control.FailedError); !errors.As(err, &failed) {
				t.Fatalf("upgrade to what is %s: %v", unusable[i-len(crashes)].name, err)
			}
		}
		upgradeToOther(t, d)
	}
	if s, err := d.State(); err != nil || s.Generation != 101 {
		t.Errorf("the state is %+v, %v, want generation 101", s, err)
	}
	awaitServed(t, l.Recorder(), 101)
	endLightLoad(t, l)
	wantNoMore(t, d, first)
}

// dawdle begins an upgrade whose process is being started until goOn is called.
func dawdle(t *testing.T, d *daemon.Daemon) (goOn func(), outcome <-chan error) {
	t.Helper()
	fault("dawdle")(t, d)
	result := make(chan error, 1)
	go func() {
		_, err := d.Upgrade(t.Context())
		result <- err
	}()
	dawdles := filepath.Join(d.Dir, "dawdles")
	await(t, "process that is being started", func() bool { _, err := os.Stat(dawdles); return err == nil })
	return func() { _ = os.Remove(dawdles) }, result
}

// TestRequestsDuringAnUpgradeAreOneMore asks ten times while an upgrade goes on.
func TestRequestsDuringAnUpgradeAreOneMore(t *testing.T) {
	d := start(t, onlyWeb)
	goOn, outcome := dawdle(t, d)
	for range 10 {
		signalServing(t, d, syscall.SIGHUP)
	}
	if err := daemon.Install(programs.mixed2, d.Binary); err != nil {
		t.Fatal(err)
	}
	goOn()
	if err := <-outcome; err != nil {
		t.Fatal(err)
	}
	await(t, "generation 3", func() bool { s, err := d.State(); return err == nil && s.Generation == 3 })
	if up, err := d.Upgrade(t.Context()); err != nil || up.New.Generation != 4 {
		t.Errorf("upgrade = %+v, %v, want generation 4", up, err)
	}
}

// TestStopDuringAnUpgrade stops a daemon whose next generation is being started: both
// end, and whoever waits for the upgrade is told.
func TestStopDuringAnUpgrade(t *testing.T) {
	onLinux(t)
	for _, sig := range []os.Signal{syscall.SIGTERM, syscall.SIGQUIT} {
		d := start(t, "[web]\nmode http\nlisten unix:web.sock\n")
		goOn, outcome := dawdle(t, d)
		if pids := processesOf(t, d); len(pids) != 2 {
			t.Errorf("processes %v, want two", pids)
		}
		signalServing(t, d, sig)
		if err := waitAlive(t, d, 0, 30*time.Second); err != nil {
			t.Fatal(err)
		}
		if err := <-outcome; !errors.Is(err, process.ErrNotRunning) {
			t.Errorf("%v: upgrade = %v, want ErrNotRunning", sig, err)
		}
		if pids := processesOf(t, d); len(pids) > 0 {
			t.Errorf("%v: processes %v have not ended", sig, pids)
		}
		goOn()
		_ = os.Remove(filepath.Join(d.Dir, "fault"))
		wantNothingLeft(t, d)
	}
}

// TestStopAroundAnUpgrade has a stop come at any moment of an upgrade: the daemon is
// gone then, whichever generation it has reached.
func TestStopAroundAnUpgrade(t *testing.T) {
	onLinux(t)
	const moments = 20
	for i := range moments {
		d := start(t, "[web]\nmode http\nlisten unix:web.sock\n")
		signalServing(t, d, syscall.SIGHUP)
		time.Sleep(time.Duration(i) * 2 * time.Millisecond) // an upgrade takes some twenty
		if _, err := control.Stop(t.Context(), d.PIDFile); err != nil {
			t.Errorf("stop %v after the upgrade began: %v", time.Duration(i)*2*time.Millisecond, err)
		}
		await(t, "end of all processes", func() bool { return len(processesOf(t, d)) == 0 })
		wantNothingLeft(t, d)
	}
}

// processesOf returns the processes that run a binary in the daemon's directory, but not
// those that are dead and not waited for.
func processesOf(t *testing.T, d *daemon.Daemon) []string {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		t.Fatal(err)
	}
	var pids []string
	for _, link := range links {
		if exe, err := os.Readlink(link); err == nil && strings.HasPrefix(exe, d.Dir+"/") {
			pids = append(pids, filepath.Base(filepath.Dir(link)))
		}
	}
	return pids
}

package watched

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
)

// A process that somebody watches, and that has no supervisor in front of it, is not upgraded: the watcher would take its
// end for that of the service. It says so at its start and whenever it is asked, and serves on.
func TestWatchedWithoutSupervisor(t *testing.T) {
	const useNew, supervise = "a program that calls New has no supervisor: call Daemonize instead, and start it with -f",
		`remove "supervise no" from the configuration, and start it with -f`
	tests := []struct{ name, calls, env, flags, watcher, wayOut string }{
		{"New with NOTIFY_SOCKET", "New", "NOTIFY_SOCKET=/nowhere", "", "NOTIFY_SOCKET is set", useNew},
		{"New under systemd", "New", "SYSTEMD_EXEC_PID=$$", "", "systemd has started it", useNew},
		{"supervise no with NOTIFY_SOCKET", "", "NOTIFY_SOCKET=/nowhere", "-f", "NOTIFY_SOCKET is set", supervise},
		{"supervise no under systemd", "", "SYSTEMD_EXEC_PID=$$", "-f", "systemd has started it", supervise},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := newDaemon(t, "owncommands", "supervise no")
			cmd := exec.Command("sh", "-c", "export "+test.env+`; exec "$0" "$@"`, d.Binary, "serve", "-c", d.Conf)
			cmd.Args = append(cmd.Args, strings.Fields(test.flags)...)
			cmd.Dir, cmd.Env = d.Dir, unwatched("OWN_CALLS="+test.calls)
			watch(t, d, cmd)
			wantRefusal(t, d, test.watcher, test.wayOut)
			if state(cmd.Process.Pid) == "" {
				t.Error("the process that is watched has ended")
			}
		})
	}
}

// unwatched is the environment without what tells of a watcher of this test, and with more.
func unwatched(more ...string) []string {
	var env []string
	for _, v := range os.Environ() {
		switch name, _, _ := strings.Cut(v, "="); name {
		case "NOTIFY_SOCKET", "SYSTEMD_EXEC_PID", "INVOCATION_ID":
		default:
			env = append(env, v)
		}
	}
	return append(env, more...)
}

// wantRefusal asks for an upgrade by gozdctl and by a signal.
func wantRefusal(t *testing.T, d *daemon.Daemon, words ...string) {
	t.Helper()
	words = append(words, "upgrade refused: ", "this process is watched, and the service would end with it")
	if said := d.LogText(); !strings.Contains(said, "upgrades will be refused") {
		t.Errorf("nothing was said at the start: %s", said)
	}
	cmd := exec.Command(binaries.Gozdctl(t), "upgrade", d.PIDFile)
	output, _ := cmd.CombinedOutput()
	_, err := d.Upgrade(t.Context())
	if status := cmd.ProcessState.ExitCode(); status != 1 || err == nil {
		t.Fatalf("gozdctl says %d, %s; after a HUP: %v", status, output, err)
	}
	for _, w := range words {
		if !strings.Contains(string(output), w) || !strings.Contains(err.Error(), w) {
			t.Errorf("%q is missing in %q, or after a HUP in %q", w, output, err)
		}
	}
	if body, err := get(d, "/"); err != nil || body != "1 serve\n" {
		t.Errorf("answered by %q, %v, want generation 1", body, err)
	}
	if starts, err := os.ReadFile(filepath.Join(d.Dir, "starts")); err != nil || strings.Count(string(starts), "\n") != 1 {
		t.Errorf("started (pid, depth): %s, %v, want one process", starts, err)
	}
}

// PID 1 is watched whatever its environment says: its container ends with it.
func TestPID1WithoutSupervisor(t *testing.T) {
	c := containCommand(t, "owncommands", []string{"OWN_CALLS=New"}, "serve")
	cmd := exec.Command("nsenter", "-t", strconv.Itoa(c.init), "-p", "-m", binaries.Gozdctl(t), "upgrade", c.PIDFile)
	output, _ := cmd.CombinedOutput()
	for _, w := range []string{"this process is watched", "it is PID 1, with which its container ends", "a program that calls New"} {
		if !strings.Contains(string(output), w) {
			t.Errorf("%q is missing in %q", w, output)
		}
	}
	if status := cmd.ProcessState.ExitCode(); status != 1 {
		t.Errorf("gozdctl ends with status %d, want 1", status)
	}
	if body, err := get(c.Daemon, "/"); err != nil || body != "1 serve\n" {
		t.Errorf("answered by %q, %v, want generation 1", body, err)
	}
}

// Nobody watches a program of New that somebody has started as any other: it is upgraded, and its end is no accident.
func TestUnwatchedWithoutSupervisor(t *testing.T) {
	d := newDaemon(t, "owncommands")
	cmd := exec.Command(d.Binary, "serve", "-c", d.Conf)
	cmd.Dir, cmd.Env = d.Dir, unwatched("OWN_CALLS=New")
	watch(t, d, cmd)
	upgrade(t, d, 1)
	if body, err := get(d, "/"); err != nil || body != "2 serve\n" {
		t.Errorf("answered by %q, %v, want generation 2", body, err)
	}
}

// The command that a program takes off os.Args reaches the generations that a supervisor and its generations start.
func TestSupervisedCommandIsKept(t *testing.T) {
	d := newDaemon(t, "owncommands", "supervise yes")
	cmd := exec.Command(d.Binary, "serve", "-f", "-c", d.Conf)
	cmd.Dir = d.Dir
	watch(t, d, cmd)
	for _, want := range []string{"1 serve\n", "2 serve\n"} {
		if body, err := get(d, "/"); err != nil || body != want {
			t.Fatalf("answered by %q, %v, want %q", body, err, want)
		}
		if want != "2 serve\n" {
			upgrade(t, d, 1)
		}
	}
}

package files

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loadtest"
)

const spawnerGroups = "[web]\nmode http\nlisten unix:web.sock\n[line]\nmode tcp\nlisten 127.0.0.1:0\nstop_timeout 0s\n"

// prepareSpawner makes a daemon that starts other programs.
func prepareSpawner(t *testing.T) *daemon.Daemon {
	t.Helper()
	return daemontest.Prepare(t, binaries.Spawner(t), spawnerGroups)
}

// ask gets a number from the daemon's web group.
func ask(t *testing.T, d *daemon.Daemon, path string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(string(loadtest.Get(t, daemontest.Target(t, d, "web"), path))))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return n
}

// TestProgramsInheritNothing has generations in the background and in the foreground start
// programs, which outlive them. None has a descriptor or a variable of gozd's, so that
// nothing of the daemon is held when it has ended.
func TestProgramsInheritNothing(t *testing.T) {
	d := prepareSpawner(t)
	for _, foreground := range []bool{false, true} {
		daemontest.Begin(t, d, d.Command(t.Context()), foreground)
		for generation := range 3 {
			if generation > 0 {
				old, err := d.State()
				if err != nil {
					t.Fatal(err)
				}
				daemontest.Upgrade(t, d)
				daemontest.AwaitEnd(t, old)
			}
			wantNothingInherited(t, d, spawn(t, d), fmt.Sprintf("foreground %v, generation %d", foreground, generation+1))
		}
		to := daemontest.Target(t, d, "line")
		if err := d.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if conn, err := net.Dial(to.Network, to.Address); err == nil {
			_ = conn.Close()
			t.Error("a program that the daemon had started holds its socket")
		}
		daemontest.WantNothingLeft(t, d)
	}
}

// spawn has the daemon start a program, which ends with the test.
func spawn(t *testing.T, d *daemon.Daemon) (pid int) {
	t.Helper()
	pid = ask(t, d, "/sleep")
	p, err := process.Open(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	start, err := process.StartTime(pid)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		defer p.Close()
		_ = p.Signal(os.Kill)
		daemontest.AwaitEnd(t, &process.State{PID: pid, StartTime: start})
	})
	return pid
}

// wantNothingInherited checks a process that has made nothing of its own.
func wantNothingInherited(t *testing.T, d *daemon.Daemon, pid int, who string) {
	t.Helper()
	daemontest.Await(t, "program", func() bool { // until then it is a copy of the daemon
		name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		return err == nil && string(name) == "sleep\n"
	})
	strays := openFiles(t, os.Getpid()) // who started the tests may be careless
	for _, file := range openFiles(t, pid) {
		own := strings.HasPrefix(file, "/") && !strings.HasPrefix(file, d.Dir) // /dev/null, and what a program reads at its start
		if !own && !slices.Contains(strays, file) {
			t.Errorf("%s: a program has %s open", who, file)
		}
	}
	var environ []byte
	daemontest.Await(t, "environment of the program", func() bool { // it is empty for a moment of execve
		environ, _ = os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		return len(environ) > 0
	})
	for variable := range bytes.SplitSeq(bytes.TrimSuffix(environ, []byte{0}), []byte{0}) {
		if !slices.Contains(os.Environ(), string(variable)) && !bytes.HasPrefix(variable, []byte("PWD=")) { // that of exec.Cmd.Dir
			t.Errorf("%s: a program has the variable %s", who, variable)
		}
	}
}

// openFiles returns what a process's descriptors are.
func openFiles(t *testing.T, pid int) []string {
	t.Helper()
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, link := range links {
		if file, err := os.Readlink(link); err == nil { // it may have been closed since
			files = append(files, file)
		}
	}
	return files
}

// burden is what a generation weighs.
type burden struct {
	daemontest.Usage
	threads, kilobytes int
}

// weigh measures the serving generation, without what it does not use.
func weigh(t *testing.T, d *daemon.Daemon) burden {
	t.Helper()
	s, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	b := burden{Usage: daemontest.Usage{Goroutines: ask(t, d, "/collect")}}
	b.Descriptors = daemontest.Descriptors(t, s.PID)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.PID))
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range []struct {
		name string
		to   *int
	}{{"Threads:", &b.threads}, {"VmRSS:", &b.kilobytes}} {
		_, rest, _ := strings.Cut(string(status), "\n"+field.name)
		if _, err := fmt.Sscan(rest, field.to); err != nil {
			t.Fatalf("%s %v", field.name, err)
		}
	}
	return b
}

// within allows threads, of which the runtime makes more when the machine is busy, and
// half as much memory again.
func (b burden) within(first burden) bool {
	return b.Within(first.Usage) && b.threads <= first.threads+4 && b.kilobytes <= first.kilobytes*3/2
}

// TestManyUpgradesLeaveNothing upgrades forty times while a connection keeps the first
// generation. It waits for those of its children that end, and the last generation weighs what
// the first did.
func TestManyUpgradesLeaveNothing(t *testing.T) {
	d := prepareSpawner(t)
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	ask(t, d, "/collect") // the first request makes what stays
	first := weigh(t, d)
	to := daemontest.Target(t, d, "line")
	conn, err := net.Dial(to.Network, to.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}

	for range 40 {
		daemontest.Upgrade(t, d)
	}
	if err := d.WaitAlive(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	daemontest.Await(t, "end of the first generation's zombies", func() bool { return len(zombies(t, s.PID)) == 0 })
	_ = conn.Close()
	if err := d.WaitAlive(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	ask(t, d, "/collect")
	var last burden
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if last = weigh(t, d); last.within(first) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the last generation weighs %+v, the first weighed %+v", last, first)
		}
	}
	t.Logf("the last generation weighs %+v, the first weighed %+v", last, first)
	if err := d.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	daemontest.WantNothingLeft(t, d)
	if pids := daemontest.ProcessesOf(t, d); len(pids) > 0 {
		t.Errorf("processes %v are left", pids)
	}
}

// zombies returns the children of a process that are dead and not waited for.
func zombies(t *testing.T, parent int) []string {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	var pids []string
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it is gone
		}
		pid, _, _ := strings.Cut(string(stat), " ")
		_, rest, _ := strings.Cut(string(stat), ") ") // the name may have spaces
		if strings.HasPrefix(rest, fmt.Sprintf("Z %d ", parent)) {
			pids = append(pids, pid)
		}
	}
	return pids
}

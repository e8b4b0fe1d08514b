package files

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
)

// TestPIDFileIsAlwaysWhole reads the PID file all the time while a daemon is upgraded: it
// is always there, and names a generation that serves.
func TestPIDFileIsAlwaysWhole(t *testing.T) {
	d := daemontest.Start(t, daemontest.OnlyWeb)
	first, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	named := make(map[int]bool)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for reads := 0; ; reads++ {
			select {
			case <-stop:
				return
			default:
			}
			content, err := os.ReadFile(d.PIDFile)
			info, statErr := os.Stat(d.PIDFile)
			if err := errors.Join(err, statErr); err != nil {
				t.Errorf("read %d: %v", reads, err)
				return
			}
			pid, err := strconv.Atoi(strings.TrimSuffix(string(content), "\n"))
			if err != nil || content[len(content)-1] != '\n' || info.Mode() != 0o644 {
				t.Errorf("read %d: the file holds %q and has mode %v", reads, content, info.Mode())
				return
			}
			named[pid] = true
		}
	}()
	served := map[int]bool{first.PID: true}
	for range 20 {
		up, err := d.Upgrade(t.Context())
		if err != nil {
			t.Error(err)
			break
		}
		served[up.Served.PID] = true
	}
	close(stop)
	<-stopped
	for pid := range named {
		if !served[pid] {
			t.Errorf("the file has named pid %d, which is no generation", pid)
		}
	}
}

// TestPIDFileIsRestored has upgrades fail when the new process has already put its PID
// into the file, and when somebody has removed the file meanwhile.
func TestPIDFileIsRestored(t *testing.T) {
	d := daemontest.Start(t, daemontest.OnlyWeb)
	s, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	daemontest.UpgradeToCrash(t, d, "exit with the PID file") // which looks at the file
	if err := os.Remove(d.PIDFile); err != nil {
		t.Fatal(err)
	}
	daemontest.UpgradeToCrash(t, d, "exit early")
	wantServesOn(t, d, s, 2)
	daemontest.UpgradeToOther(t, d)
}

// wantServesOn checks that nothing has changed for a generation but the number of
// upgrades that have failed.
func wantServesOn(t *testing.T, d *daemon.Daemon, s *process.State, failures int) {
	t.Helper()
	if now, err := d.State(); err != nil || now.PID != s.PID {
		t.Errorf("the state is %+v, %v, want pid %d", now, err, s.PID)
	}
	if now, err := d.Status(t.Context()); err != nil || now.Generation != s.Generation || now.Upgrades.Failed != failures {
		t.Errorf("the status is %+v, %v, want generation %d and %d failures", now, err, s.Generation, failures)
	}
	if pid, err := process.ReadPID(d.PIDFile); err != nil || pid != s.PID {
		t.Errorf("the PID file names %d, %v, want %d", pid, err, s.PID)
	}
}

// operate returns the commands that an operator has, by what they say before an error.
func operate(t *testing.T, d *daemon.Daemon) map[string]*exec.Cmd {
	t.Helper()
	commands := make(map[string]*exec.Cmd)
	for _, name := range []string{"upgrade", "status"} {
		commands["gozdctl: "+name+": "] = exec.CommandContext(t.Context(), binaries.Gozdctl(t), name, d.PIDFile)
	}
	for _, name := range []string{"stop", "quit", "reopen", "reload"} {
		commands["[GOZDERR] "+name+": "] = d.Command(t.Context(), "-s", name)
	}
	return commands
}

// wantNotRunning has every command say why there is nothing to act on. gozdctl has an exit
// status of its own for that, and says what to do next.
func wantNotRunning(t *testing.T, d *daemon.Daemon, why string) {
	t.Helper()
	for prefix, cmd := range operate(t, d) {
		output, _ := cmd.CombinedOutput()
		want, status := fmt.Sprintf("%s%s: not running (%s)\n", prefix, d.PIDFile, why), 1
		if cmd.Path == binaries.Gozdctl(t) {
			status = 3
		}
		if cmd.ProcessState.ExitCode() != status || !strings.HasPrefix(string(output), want) {
			t.Errorf("%v: status %d, output %q, want %d and %q", cmd.Args[1:], cmd.ProcessState.ExitCode(), output, status, want)
		}
	}
}

// kill kills the serving generation, as no operator should.
func kill(t *testing.T, d *daemon.Daemon) int {
	t.Helper()
	s, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	daemontest.SignalServing(t, d, os.Kill)
	daemontest.AwaitEnd(t, s)
	return s.PID
}

// stranger is a process that has nothing to do with any daemon. It would not survive
// any of the signals that a daemon gets, and ends with the test.
func stranger(t *testing.T) (pid int, alive func() bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sleep", "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() { <-ended }) // the context has killed it
	return cmd.Process.Pid, func() bool {
		select {
		case <-ended:
			return false
		default:
			return true
		}
	}
}

// TestFilesOfAKilledDaemon leaves the files of a daemon that was killed: they are taken
// for what they are, also when a stranger has its PID by now.
func TestFilesOfAKilledDaemon(t *testing.T) {
	d := daemontest.Start(t, "[web]\nmode http\nlisten unix:web.sock\n")
	daemontest.UpgradeToOther(t, d)
	if err := daemontest.WaitAlive(t, d, 1, 30*time.Second); err != nil { // or the first one would go on
		t.Fatal(err)
	}
	pid := kill(t, d)
	const stale = "the file is stale: it names pid %d, and nobody holds the daemon's lock"
	wantNotRunning(t, d, fmt.Sprintf(stale, pid))

	pid, alive := stranger(t)
	if err := process.WritePID(d.PIDFile, pid); err != nil {
		t.Fatal(err)
	}
	wantNotRunning(t, d, fmt.Sprintf(stale, pid))
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s, err := d.State(); err != nil || s.Generation != 1 {
		t.Errorf("the state is %+v, %v, want generation 1", s, err)
	}
	if !alive() {
		t.Error("a process that the PID file named by mistake was signalled")
	}
}

// TestStrangerInThePIDFile has the PID file of a running daemon name a stranger. The
// daemon is who is meant.
func TestStrangerInThePIDFile(t *testing.T) {
	d := daemontest.Start(t, daemontest.OnlyWeb)
	pid, alive := stranger(t)
	for _, command := range []string{"reopen", "reload", "stop"} {
		if err := process.WritePID(d.PIDFile, pid); err != nil {
			t.Fatal(err)
		}
		if output, err := d.Command(t.Context(), "-s", command).CombinedOutput(); err != nil {
			t.Errorf("-s %s: %v: %s", command, err, output)
		}
		if !alive() {
			t.Fatalf("-s %s has signalled the process that the PID file names", command)
		}
		if command == "reload" {
			s, err := d.State()
			if now, readErr := process.ReadPID(d.PIDFile); err != nil || readErr != nil || now != s.PID {
				t.Errorf("after -s reload the PID file names %d, want %d; %v, %v", now, s.PID, err, readErr)
			}
		}
	}
	if err := daemontest.WaitAlive(t, d, 0, 30*time.Second); err != nil {
		t.Error(err)
	}
	daemontest.WantNothingLeft(t, d)
}

// TestPIDFileRemovedByHand removes one of a running daemon's files after the other.
func TestPIDFileRemovedByHand(t *testing.T) {
	d := daemontest.Start(t, daemontest.OnlyWeb)
	gozdctl := func(args ...string) string {
		output, _ := exec.CommandContext(t.Context(), binaries.Gozdctl(t), args...).CombinedOutput()
		return string(output)
	}
	remove := func(path string) {
		t.Helper()
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	wantWhole := func(generation int) {
		t.Helper()
		r, err := process.Find(d.PIDFile)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if pid, err := process.ReadPID(d.PIDFile); err != nil || pid != r.PID || r.State.Generation != generation {
			t.Errorf("the PID file names %d, %v, and pid %d is generation %d, want %d", pid, err, r.PID, r.State.Generation, generation)
		}
	}

	remove(d.PIDFile) // nobody needs it but people
	if got := gozdctl("status", d.PIDFile); !strings.Contains(got, fmt.Sprintf("%s: generation 1 (pid ", d.PIDFile)) {
		t.Errorf("status without a PID file: %q", got)
	}
	daemontest.UpgradeToOther(t, d)
	wantWhole(2)

	s, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	remove(process.StatePath(d.PIDFile)) // only it says which process it is, for sure
	if got, want := gozdctl("status", d.PIDFile), "the daemon is starting, or somebody has removed its state file"; !strings.Contains(got, want) {
		t.Errorf("status without a state file: %q, want %q in it", got, want)
	}
	hangUp(t, s)
	daemontest.Await(t, "generation 3", func() bool { s, err := d.State(); return err == nil && s.Generation == 3 })
	wantWhole(3)

	if s, err = d.State(); err != nil {
		t.Fatal(err)
	}
	remove(process.LockPath(d.PIDFile))
	want := fmt.Sprintf("not running (nobody holds the daemon's lock, but pid %d is alive: its successor has ended, or somebody has removed %s)", s.PID, process.LockPath(d.PIDFile))
	if got := gozdctl("status", d.PIDFile); !strings.Contains(got, want) {
		t.Errorf("status without a lock file: %q, want %q in it", got, want)
	}
	hangUp(t, s)
	daemontest.Await(t, "generation 4", func() bool { s, err := d.State(); return err == nil && s.Generation == 4 })
	wantWhole(4)

	remove(d.PIDFile)
	if output, err := d.Command(t.Context(), "-s", "stop").CombinedOutput(); err != nil {
		t.Errorf("-s stop without a PID file: %v: %s", err, output)
	}
	daemontest.WantNothingLeft(t, d)
}

// hangUp asks for an upgrade as one who knows the PID from elsewhere.
func hangUp(t *testing.T, s *process.State) {
	t.Helper()
	p, err := process.Open(s.PID, s.StartTime)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

// TestTwoStarts starts two daemons on one configuration at the same time, again and
// again: one serves, and the other says which.
func TestTwoStarts(t *testing.T) {
	d := daemontest.Prepare(t, binaries.Mixed(t), daemontest.OnlyWeb)
	for n := range 25 {
		said := startTwo(t, d)
		s, err := d.State()
		if err != nil {
			t.Fatalf("pair %d: %v: %q", n, err, said)
		}
		want := fmt.Sprintf("[GOZDERR] already running, pid %d (PID file %s): -s reload upgrades it\n", s.PID, d.PIDFile)
		if said != [2]string{want} && said != [2]string{1: want} {
			t.Fatalf("pair %d: they say %q, want one to say %q", n, said, want)
		}
		if err := d.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	daemontest.WantNothingLeft(t, d)
}

// startTwo returns what each of two has said that failed with status 1, and nothing of
// one that has started a daemon.
func startTwo(t *testing.T, d *daemon.Daemon) (said [2]string) {
	t.Helper()
	daemon.AdoptOrphans()
	var both sync.WaitGroup
	for i := range said {
		both.Go(func() {
			cmd := d.Command(t.Context())
			output, _ := cmd.CombinedOutput()
			switch cmd.ProcessState.ExitCode() {
			case 0:
			case 1:
				said[i] = string(output)
			default:
				said[i] = fmt.Sprintf("%v: %s", cmd.ProcessState, output)
			}
		})
	}
	both.Wait()
	return said
}

package watched

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
)

// supervised starts a daemon with a supervisor in the foreground.
func supervised(t *testing.T, env ...string) (*daemon.Daemon, *exec.Cmd) {
	t.Helper()
	d := newDaemon(t, "watched", "supervise yes")
	return d, supervise(t, d, env...)
}

func supervise(t *testing.T, d *daemon.Daemon, env ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(d.Binary, "-f", "-v", "-c", d.Conf)
	cmd.Dir, cmd.Env = d.Dir, append(os.Environ(), env...)
	out, err := os.Create(filepath.Join(d.Dir, "supervisor.log"))
	must(t, err)
	t.Cleanup(func() {
		_ = out.Close()
		if t.Failed() {
			text, _ := os.ReadFile(out.Name())
			t.Logf("supervisor:\n%s", text)
		}
	})
	cmd.Stdout, cmd.Stderr = out, out
	watch(t, d, cmd)
	return cmd
}

// A supervisor that gets no processor finds a generation replaced and gone at the same time. It must
// hear of the successor before it takes the daemon for ended.
func TestSupervisorThatLooksLate(t *testing.T) {
	t.Parallel()
	d, cmd := supervised(t)
	supervisor := cmd.Process.Pid
	for range 4 { // which of the two it finds first is chance; each upgrade waits for its answer
		old := servingPID(t, d)
		must(t, daemon.Freeze(supervisor))
		newBinary(t, d)
		upgrade(t, d, 1)
		await(t, "ended, and not collected", func() bool { return state(old) == "Z" })
		must(t, syscall.Kill(supervisor, syscall.SIGCONT))
		await(t, "collected", func() bool { return state(old) == "" })
	}
	if n := generation(d); n != 5 || state(supervisor) == "" {
		t.Errorf("generation %d serves, and the supervisor is %q; want 5, alive", n, state(supervisor))
	}
}

// A supervisor that stands still during several upgrades hears then of generations that have come and gone. The last one serves on.
func TestSupervisorThatMissesGenerations(t *testing.T) {
	t.Parallel()
	for _, n := range []int{2, 3} {
		t.Run(fmt.Sprintf("%d upgrades", n), func(t *testing.T) {
			t.Parallel()
			d, cmd := supervised(t)
			supervisor := cmd.Process.Pid
			must(t, daemon.Freeze(supervisor))
			for range n {
				old := servingPID(t, d)
				newBinary(t, d)
				upgrade(t, d, 1)
				await(t, "ended", func() bool { return state(old) == "Z" || state(old) == "" })
			}
			must(t, syscall.Kill(supervisor, syscall.SIGCONT))
			upgrade(t, d, 1) // it answers again, and knows who serves
			if got := generation(d); got != n+2 || state(supervisor) == "" {
				t.Errorf("generation %d serves, and the supervisor is %q; want %d, alive", got, state(supervisor), n+2)
			}
			must(t, cmd.Process.Signal(syscall.SIGTERM))
			ended(t, cmd)
			if _, err := os.Stat(d.PIDFile); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the PID file is still there: %v", err)
			}
		})
	}
}

// A supervisor that stands still while a generation comes, and dies, ends as that one has: a service manager starts the daemon again by that.
func TestSupervisorThatMissesACrash(t *testing.T) {
	t.Parallel()
	d, cmd := supervised(t)
	supervisor, old := cmd.Process.Pid, servingPID(t, d)
	must(t, daemon.Freeze(supervisor))
	newBinary(t, d)
	upgrade(t, d, 1)
	await(t, "ended", func() bool { return state(old) == "Z" || state(old) == "" })
	must(t, syscall.Kill(servingPID(t, d), syscall.SIGKILL))
	must(t, syscall.Kill(supervisor, syscall.SIGCONT))
	if ws := ended(t, cmd); !ws.Signaled() || ws.Signal() != syscall.SIGKILL {
		t.Errorf("the supervisor ends by %v, want the signal of the generation that served", ws)
	}
}

// A supervisor that has died by a signal cannot end its generations, and they do it themselves.
func TestGenerationsEndWithoutSupervisor(t *testing.T) {
	d, cmd := supervised(t)
	upgrade(t, d, 2)
	pid := servingPID(t, d)
	must(t, cmd.Process.Kill())
	ended(t, cmd)
	await(t, "gone", func() bool { daemon.ReapProcess(pid); return state(pid) == "" })
	if !strings.Contains(d.LogText(), "the supervisor is gone") {
		t.Error("the log does not say why")
	}
	if _, err := os.Stat(d.PIDFile); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the PID file is still there: %v", err)
	}
}

// The supervisor dies of the signal that the last generation has died of.
func TestSupervisorDiesOfTheSameSignal(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGSEGV} {
		t.Run(sig.String(), func(t *testing.T) {
			d, cmd := supervised(t)
			pid := servingPID(t, d)
			must(t, syscall.Kill(pid, sig))
			ws := ended(t, cmd)
			if sig == syscall.SIGKILL && ws.Signal() != sig {
				t.Errorf("the supervisor has ended with %v, want the signal %v", ws, sig)
			}
			if sig == syscall.SIGSEGV && ws.ExitStatus() != 2 { // what Go makes of it
				t.Errorf("the supervisor has ended with %v, want status 2", ws)
			}
		})
	}
}

// Nothing of the supervisor's own is left in the environment of the program.
func TestSupervisedEnvironment(t *testing.T) {
	d, _ := supervised(t)
	for n := 1; n <= 2; n++ {
		env, err := get(d, "/env")
		must(t, err)
		for _, name := range []string{"GOZD_SUPERVIS", "GOZD_SOCKETS", "NOTIFY_SOCKET", "WATCHDOG_PID", "LISTEN_"} {
			if strings.Contains(env, name) {
				t.Errorf("generation %d has %s in its environment:\n%s", n, name, env)
			}
		}
		upgrade(t, d, 1)
	}
}

// Detached, the supervisor is the process that was started.
func TestSupervisedDetached(t *testing.T) {
	d := newDaemon(t, "watched", "supervise yes")
	must(t, d.Start(t.Context()))
	t.Cleanup(func() { must(t, d.Stop(context.WithoutCancel(t.Context()))) })
	upgrade(t, d, 2)
	if n := generation(d); n != 3 {
		t.Errorf("generation %d serves", n)
	}
	if out, err := d.Command(t.Context()).CombinedOutput(); err == nil || !strings.Contains(string(out), "already running") {
		t.Errorf("a second start: %v, %s", err, out)
	}
	bad := newDaemon(t, "watched", "supervise yes", "user no-such-user")
	if err := bad.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "unknown user") {
		t.Errorf("a start that fails says %v", err)
	}
}

// manager plays systemd's part.
type manager struct {
	t    *testing.T
	conn *net.UnixConn
	path string
}

func newManager(t *testing.T) *manager {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return &manager{t, conn, path}
}

// next is the next message that has a line which begins so.
func (m *manager) next(line string) string {
	m.t.Helper()
	must(m.t, m.conn.SetReadDeadline(time.Now().Add(patience)))
	buf := make([]byte, 8192)
	for {
		n, err := m.conn.Read(buf)
		if err != nil {
			m.t.Fatalf("no %s: %v", line, err)
		}
		lines := strings.Split(string(buf[:n]), "\n")
		if slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, line) }) {
			return string(buf[:n])
		}
	}
}

func (m *manager) want(line string, also ...string) {
	m.t.Helper()
	text := m.next(line)
	for _, s := range also {
		if !strings.Contains(text, s) {
			m.t.Errorf("with %s systemd is told %q, want %q", line, text, s)
		}
	}
}

func TestNotifications(t *testing.T) {
	m := newManager(t)
	d, cmd := supervised(t, "NOTIFY_SOCKET="+m.path, "WATCHDOG_USEC=1000000", "WATCHDOG_PID=1")
	m.want("READY=1", "STATUS=generation 1 serving")
	upgrade(t, d, 1)
	m.want("RELOADING=1", "MONOTONIC_USEC=", "STATUS=generation 1 serving, generation 2 starting", "EXTEND_TIMEOUT_USEC=")
	m.want("READY=1", "STATUS=generation 2 serving")

	must(t, os.Rename(d.Binary, d.Binary+".good"))
	if _, err := d.Upgrade(t.Context()); err == nil {
		t.Error("an upgrade to nothing succeeds")
	}
	m.want("READY=1", "STATUS=generation 2 serving", "; upgrade failed at start: ", "no such file or directory")
	must(t, os.Rename(d.Binary+".good", d.Binary))

	// The program may say how it is, and not what is the supervisor's to say.
	for text, want := range map[string]string{
		"READY=1%0ASTATUS=busy%0AMAINPID=1": "busy",
		"STOPPING=1%0AX_APP=7":              "X_APP=7",
	} {
		_, err := get(d, "/notify?text="+text)
		must(t, err)
		line := map[bool]string{true: "STATUS", false: "X_APP"}[want == "busy"]
		said := m.next(line)
		isOwn := func() bool { // a status and nothing else, which the supervisor says by itself: generation 1 ends at its own time
			return strings.HasPrefix(said, "STATUS=generation 2 serving") && !strings.Contains(said, want) && strings.Count(said, "=") == 1
		}
		for isOwn() {
			said = m.next(line)
		}
		if !strings.Contains(said, want) || strings.Contains(said, "READY") || strings.Contains(said, "MAINPID") || strings.Contains(said, "STOPPING") {
			t.Errorf("of what the program says systemd is told %q, want %q", said, want)
		}
	}
	must(t, cmd.Process.Signal(syscall.SIGTERM))
	m.want("STOPPING=1", "EXTEND_TIMEOUT_USEC=", "STATUS=stopping")
	ended(t, cmd)
}

// The end of a generation that serves is not the daemon's where the one before it stands by: systemd hears what has
// happened, and the watchdog is fed as often as before.
func TestSupervisorOfOneThatServesAgain(t *testing.T) {
	const interval = 400 * time.Millisecond // of the watchdog; it is fed four times in it
	m := newManager(t)
	d, cmd := supervised(t, "NOTIFY_SOCKET="+m.path, "WATCHDOG_USEC="+strconv.FormatInt(interval.Microseconds(), 10))
	done := keepBusy(t, d)
	for range 2 {
		newBinary(t, d)
		_, err := d.Upgrade(t.Context())
		must(t, err)
		pid := servingPID(t, d)
		must(t, syscall.Kill(pid, syscall.SIGKILL))
		want := fmt.Sprintf("; upgrade failed at serving: pid %d: it died after it had taken over: signal: killed", pid)
		for said := ""; !strings.Contains(said, want); { // or m fails
			said = m.next("READY=1")
		}
		await(t, "generation 1 serves again", func() bool { return generation(d) == 1 })
	}
	m.want("WATCHDOG=1")
	const feeds = 12
	begin := time.Now()
	for range feeds {
		m.want("WATCHDOG=1")
	}
	// A machine that is busy has them come later, never earlier than every quarter. Two may have waited at the begin.
	if took := time.Since(begin); took < (feeds-3)*interval/4 {
		t.Errorf("the watchdog was fed %d times in %v: more than one feeds it", feeds, took)
	}
	done()
	must(t, cmd.Process.Signal(syscall.SIGTERM))
	if ws := ended(t, cmd); ws.ExitStatus() != 0 {
		t.Errorf("the supervisor has ended with %v", ws)
	}
}

// keepBusy has a request begin that does not end before done is called, so that its generation drains as long.
func keepBusy(t *testing.T, d *daemon.Daemon) (done func()) {
	t.Helper()
	s, err := process.ReadState(d.PIDFile)
	must(t, err)
	network, address, _ := strings.Cut(s.Listen["web"], " ")
	conn, err := net.Dial(network, address)
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	_, err = conn.Write([]byte("GET /env HTTP/1.1\r\n"))
	must(t, err)
	return func() { _ = conn.Close() }
}

// A generation that drains has nothing to say to systemd any more.
func TestDrainingGenerationIsNotHeard(t *testing.T) {
	m := newManager(t)
	d, _ := supervised(t, "NOTIFY_SOCKET="+m.path)
	m.want("READY=1")
	before := servingPID(t, d)
	answered := make(chan error, 1)
	go func() {
		_, err := get(d, "/notify?after=2s&text=STATUS=old%0AX_OLD=1%0ASTOPPING=1")
		answered <- err
	}()
	target, err := d.Target("web")
	must(t, err)
	await(t, "asked", func() bool {
		out, err := exec.Command("ss", "-Htn", "state", "established", "src", target.Address).Output()
		return err == nil && len(out) > 0
	})
	upgrade(t, d, 1)
	must(t, <-answered)
	await(t, "drained", func() bool { return state(before) == "" })
	must(t, syscall.Kill(servingPID(t, d), syscall.SIGTERM))
	buf := make([]byte, 8192)
	for {
		must(t, m.conn.SetReadDeadline(time.Now().Add(patience)))
		n, err := m.conn.Read(buf)
		must(t, err)
		text := string(buf[:n])
		if strings.Contains(text, "STOPPING=1") && strings.Contains(text, "STATUS=stopping") {
			return
		}
		if strings.Contains(strings.ToLower(text), "old") || strings.Contains(text, "STOPPING") {
			t.Errorf("systemd is told what an old generation says: %q", text)
		}
	}
}

// The watchdog is fed by the generation that serves, through the process that systemd looks at.
func TestWatchdogIsFed(t *testing.T) {
	m := newManager(t)
	d, _ := supervised(t, "NOTIFY_SOCKET="+m.path, "WATCHDOG_USEC=400000")
	for range 2 {
		m.want("WATCHDOG=1")
		upgrade(t, d, 1)
	}
	m.want("WATCHDOG=1")
	must(t, daemon.Freeze(servingPID(t, d)))
	defer func() { must(t, syscall.Kill(servingPID(t, d), syscall.SIGCONT)) }()
	// What was on its way may still come; then there is nothing.
	begin := time.Now()
	for time.Since(begin) < patience {
		must(t, m.conn.SetReadDeadline(time.Now().Add(time.Second)))
		if _, err := m.conn.Read(make([]byte, 8192)); errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
	}
	t.Error("somebody feeds the watchdog for a generation that hangs")
}

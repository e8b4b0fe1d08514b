package supervise_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/supervise"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/reexec"
)

// lie says what systemd must not hear.
func lie(c *supervise.Client) error {
	good, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	conn, err := net.Dial("tcp", good.Addr().String())
	if err != nil {
		return err
	}
	keep := func(name string, s any) error {
		return c.Keep(signed("", 1), []supervise.Socket{{Name: name, Socket: s.(syscall.Conn)}})
	}
	err = errors.Join(keep("x\nMAINPID=1234", good), keep("connected", conn), keep("a:b", good), keep("web", good))
	if os.Getenv(keepsEnv) == "no" || os.Getenv("NOTIFY_SOCKET") == "" {
		fmt.Printf("kept: %q\n", fmt.Sprint(err))
		return nil
	}
	failed := signed(supervise.Failed, 1)
	failed.Text = "no\nMAINPID=1234\nSTOPPING=1\x1b[31m"
	upgrading := signed(supervise.Upgrading, 1)
	upgrading.Within = 1<<63 - 1
	serving := signed(supervise.Serving, 1)
	serving.Keeps = true
	return errors.Join(err, keep("gozd-good@x", good), c.Notify(serving), c.Notify(upgrading), c.Notify(failed))
}

// host starts one speaker of another user, becomes a user without rights where it can, announces an upgrade, and starts
// another one.
func host(c *supervise.Client) error {
	if os.Getuid() == 0 {
		if err := startSpeaker(c, "another user's", somebody); err != nil {
			return err
		}
		if err := syscall.Setuid(nobody); err != nil {
			return err
		}
	}
	if err := errors.Join(c.Notify(signed(supervise.Serving, 1)), c.Notify(signed(supervise.Upgrading, 1))); err != nil {
		return err
	}
	return startSpeaker(c, "successor", os.Getuid())
}

// startSpeaker starts a process with the channel, which says that it serves when it is told to by a signal.
func startSpeaker(c *supervise.Client, name string, uid int) error {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), reexec.Env+"=speaker", partEnv+"="+name)
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = os.Stdout, os.Stderr, []*os.File{c.File()}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if uid != os.Getuid() {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid)}
	}
	return cmd.Start()
}

func speak() error {
	name := os.Getenv(partEnv)
	told := make(chan os.Signal, 2)
	signal.Notify(told, syscall.SIGUSR2, syscall.SIGTERM)
	fmt.Println("pid", os.Getpid(), name)
	<-told
	if err := sayServing(os.NewFile(3, "channel")); err != nil {
		return err
	}
	fmt.Println("said", name)
	<-told
	fmt.Println(name, "stops")
	return nil
}

// sayServing says that this process is a generation, and serves.
func sayServing(channel *os.File) error { return say(channel, supervise.Starting, supervise.Serving) }

func sayStarting(channel *os.File) error { return say(channel, supervise.Starting) }

func say(channel *os.File, kinds ...supervise.Kind) error {
	for _, kind := range kinds {
		e := signed(kind, 2)
		e.Version = 1
		data, err := json.Marshal(e)
		if err != nil {
			return err
		}
		if _, err := channel.Write(data); err != nil {
			return err
		}
	}
	return nil
}

// Who says that he serves is believed only if he descends from a generation, in an upgrade that this one has announced, and has
// its user. The supervisor signals nobody else, and runs nobody's binary.
func TestWhoIsBelieved(t *testing.T) {
	f := start(t, "host")
	n := 1
	if os.Getuid() == 0 {
		n = 2
	}
	speakers := f.speakers(n)
	successor, another := speakers["successor"], speakers["another user's"]
	generation, supervisor := parentOf(t, successor), f.cmd.Process.Pid
	exe := fmt.Sprintf("/proc/%d/exe", supervisor)
	before, err := os.Stat(exe)
	must(t, err)

	// A process that has nothing to do with the daemon, this one, would be signalled and, by an earlier supervisor, run.
	stopped := make(chan os.Signal, 1)
	signal.Notify(stopped, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(stopped)
	channel := takeChannel(t, generation, supervisor)
	must(t, sayServing(channel))
	must(t, channel.Close())
	f.logs(fmt.Sprintf(`pid=%d error="not believed: it does not descend from any generation"`, os.Getpid()))

	if another != 0 {
		time.Sleep(time.Second) // the log says at most one such thing in it
		must(t, syscall.Kill(another, syscall.SIGUSR2))
		f.line("said another user's")
		f.logs(fmt.Sprintf(`pid=%d error="not believed: it is of user 1, and generation 1 of user 65534"`, another))
	}
	if now, err := os.Stat(exe); err != nil || !os.SameFile(before, now) {
		t.Errorf("the supervisor runs another binary: %v", err)
	}
	must(t, syscall.Kill(successor, syscall.SIGUSR2))
	f.line("said successor")
	must(t, f.cmd.Process.Signal(syscall.SIGTERM))
	f.line("successor stops") // and nobody else
	awaitEnd(t, successor)    // or it would be killed by the end of its parent, and the supervisor end likewise
	must(t, syscall.Kill(generation, syscall.SIGTERM))
	f.line("generation 1 stops")
	if err := f.cmd.Wait(); err != nil {
		t.Errorf("the supervisor has ended with %v", err)
	}
	if len(stopped) > 0 {
		t.Errorf("this process has been sent the signal %v", <-stopped)
	}
}

// speakers are the PIDs of n that have started, in whatever order, by their names.
func (f *front) speakers(n int) map[string]int {
	f.t.Helper()
	pids := make(map[string]int, n)
	for range n {
		text, name, _ := strings.Cut(f.line("pid "), " ")
		pid, err := strconv.Atoi(text)
		must(f.t, err)
		pids[name] = pid
	}
	return pids
}

// Of what a generation says systemd gets what can be nothing else than it seems.
func TestLiesForSystemd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "systemd")
	systemd, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	must(t, err)
	defer func() { must(t, systemd.Close()) }()
	f := start(t, "liar", "NOTIFY_SOCKET="+path)
	var all []string
	buf := make([]byte, 64<<10)
	for !strings.Contains(strings.Join(all, ""), "; no") {
		must(t, systemd.SetReadDeadline(time.Now().Add(limit)))
		n, err := systemd.Read(buf)
		must(t, err)
		all = append(all, string(buf[:n])+"\n")
	}
	var names []string
	for line := range strings.Lines(strings.Join(all, "")) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		switch name {
		case "FDNAME":
			names = append(names, value)
		case "MAINPID", "STOPPING":
			t.Errorf("systemd is told %q", line)
		case "EXTEND_TIMEOUT_USEC":
			if n, err := strconv.ParseInt(value, 10, 64); err != nil || n <= 0 || n > (24*time.Hour+time.Second).Microseconds() {
				t.Errorf("systemd is told %q", line)
			}
		}
		if strings.ContainsAny(value, "\r\x1b\x00") {
			t.Errorf("systemd is told %q", line)
		}
	}
	for _, name := range names { // it is kept, and given up by the failure
		if name != "gozd-good@x" {
			t.Errorf("systemd is told of %q, want only the one that listens and has a name of gozd's", name)
		}
	}
	if len(names) == 0 {
		t.Error("systemd keeps nothing")
	}
	must(t, f.cmd.Process.Signal(syscall.SIGTERM))
	f.line("generation 1 stops")
}

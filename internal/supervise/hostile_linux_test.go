package supervise_test

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
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

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/supervise"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/reexec"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

const (
	partEnv  = "GOZD_TEST_PART"  // what generation 1 does
	filesEnv = "GOZD_TEST_FILES" // how many descriptors the supervisor may have
	limit    = 30 * time.Second
	nobody   = 65534
	somebody = 1
)

func init() {
	roles["supervisor"] = reexec.OrFail(runSupervisor)
	roles["generation"] = reexec.OrFail(runGeneration)
	roles["speaker"] = reexec.OrFail(speak)
}

// runSupervisor is a supervisor whose generation 1 is this binary, too.
func runSupervisor() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return superviseAs(self)
}

func superviseAs(self string) error {
	// Or generation 1 would be a supervisor, too.
	err := os.Unsetenv(reexec.Env)
	if n, _ := strconv.ParseUint(os.Getenv(filesEnv), 10, 64); n > 0 && err == nil { // the generations raise theirs again
		err = limitFiles(n)
	}
	if err != nil {
		return err
	}
	status, err := supervise.Run(supervise.Options{
		Binary:  self,
		Env:     []string{reexec.Env + "=generation"},
		User:    users[os.Getenv(partEnv)],
		Log:     slog.New(slog.NewTextHandler(os.Stderr, nil)),
		Started: func() {},
	})
	if err != nil {
		return err
	}
	os.Exit(status)
	return nil
}

// runGeneration is generation 1. What it does beside serving is the part's.
func runGeneration() error {
	c, err := supervise.Inherited()
	if err != nil {
		return err
	}
	if c == nil {
		return errors.New("there is no supervisor")
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	if err := c.Tell(signed(supervise.Starting, 1)); err != nil {
		return err
	}
	parts := map[string]func(*supervise.Client) error{"liar": lie, "host": host, "blocker": block, "again": superviseAgain, "riser": rise, "crowd": gather, "server": serve, "childless": leaveNoHeir, "typist": lookAtTerminal, "scribbler": scribble, "mourner": mourn, "settler": settle, "hoarder": hoard, "standby": standBy, "yielder": yield}
	if err := parts[os.Getenv(partEnv)](c); err != nil {
		return err
	}
	select {
	case <-stop:
		fmt.Println("generation 1 stops")
	case <-c.Gone():
	}
	return nil
}

func signed(kind supervise.Kind, generation int) supervise.Event {
	start, _ := process.StartTime(os.Getpid())
	return supervise.Event{Kind: kind, Generation: generation, StartTime: start}
}

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
	failed := signed(supervise.Failed, 1)
	failed.Text = "no\nMAINPID=1234\nSTOPPING=1\x1b[31m"
	upgrading := signed(supervise.Upgrading, 1)
	upgrading.Within = 1<<63 - 1
	serving := signed(supervise.Serving, 1)
	serving.Keeps = true
	return errors.Join(err, keep("gozd-good@x", good), c.Tell(serving), c.Tell(upgrading), c.Tell(failed))
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
	if err := errors.Join(c.Tell(signed(supervise.Serving, 1)), c.Tell(signed(supervise.Upgrading, 1))); err != nil {
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

// front is a supervisor that runs.
type front struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines chan string // what all of its processes say
	log   *os.File
}

func start(t *testing.T, part string, env ...string) *front {
	t.Helper()
	return startLogging(t, part, nil, env...)
}

// startLogging has its log go elsewhere, unless that is nil.
func startLogging(t *testing.T, part string, log *os.File, env ...string) *front {
	t.Helper()
	f := &front{t: t, cmd: reexec.Command(t, "supervisor", append(env, partEnv+"="+part)...), lines: make(chan string, 64)}
	out, theirs, err := os.Pipe()
	must(t, err)
	f.log, err = os.Create(filepath.Join(t.TempDir(), "log"))
	must(t, err)
	f.cmd.Stdout, f.cmd.Stderr = theirs, cmp.Or(log, f.log)
	must(t, f.cmd.Start())
	must(t, theirs.Close())
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			f.lines <- lines.Text()
		}
	}()
	t.Cleanup(func() {
		_ = f.cmd.Process.Kill() // its generations end with it, or by the speakers' parent
		_ = f.cmd.Wait()
		<-read
		_ = out.Close()
		if t.Failed() {
			text, _ := os.ReadFile(f.log.Name())
			t.Logf("log:\n%s", text)
		}
		_ = f.log.Close()
	})
	return f
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// line is the next one, without that prefix.
func (f *front) line(prefix string) string {
	f.t.Helper()
	select {
	case line := <-f.lines:
		rest, ok := strings.CutPrefix(line, prefix)
		if !ok {
			f.t.Fatalf("%q is said, want %q", line, prefix)
		}
		return rest
	case <-time.After(limit):
		f.t.Fatalf("nobody says %q", prefix)
	}
	return ""
}

// logs waits until the log has a text.
func (f *front) logs(text string) {
	f.t.Helper()
	for deadline := time.Now().Add(limit); ; time.Sleep(5 * time.Millisecond) {
		log, err := os.ReadFile(f.log.Name())
		must(f.t, err)
		if strings.Contains(string(log), text) {
			return
		}
		if time.Now().After(deadline) {
			f.t.Fatalf("the log has no %q", text)
		}
	}
}

// parentOf is the PID of a process's parent.
func parentOf(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	must(t, err)
	_, rest, _ := strings.Cut(string(text), ") ")
	n, err := strconv.Atoi(strings.Fields(rest)[1])
	must(t, err)
	return n
}

// awaitEnd waits until a process has ended by itself, reaped or not. With the race detector its exit takes a second.
func awaitEnd(t *testing.T, pid int) {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return
	}
	must(t, err)
	defer func() { must(t, unix.Close(fd)) }()
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for deadline := time.Now().Add(limit); ; {
		n, err := unix.Poll(fds, max(1, int(time.Until(deadline).Milliseconds())))
		if n > 0 {
			return
		}
		if err != nil && !errors.Is(err, unix.EINTR) || time.Now().After(deadline) {
			t.Fatalf("process %d does not end: %v", pid, err)
		}
	}
}

// takeChannel takes the generations' end of the channel out of a generation, as any process of its user can.
func takeChannel(t *testing.T, generation, supervisor int) *os.File {
	t.Helper()
	p, err := unix.PidfdOpen(generation, 0)
	must(t, err)
	defer func() { must(t, unix.Close(p)) }()
	for fd := 3; fd < 64; fd++ {
		n, err := unix.PidfdGetfd(p, fd, 0)
		if errors.Is(err, unix.EPERM) {
			require.Missing(t, "another process's descriptors cannot be taken here")
		}
		if err != nil {
			continue
		}
		kind, err := unix.GetsockoptInt(n, unix.SOL_SOCKET, unix.SO_TYPE)
		cred, credErr := unix.GetsockoptUcred(n, unix.SOL_SOCKET, unix.SO_PEERCRED)
		if err == nil && credErr == nil && kind == unix.SOCK_SEQPACKET && int(cred.Pid) == supervisor {
			return os.NewFile(uintptr(n), "channel")
		}
		must(t, unix.Close(n))
	}
	t.Fatal("the generation has no channel")
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

// blocked are TCP connections whose close lasts for an hour, since nobody reads what they have been sent.
func blocked(n int) (conns []*net.TCPConn, release func(), err error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = ln.Close() }()
	var peers []net.Conn
	for range n {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			return nil, nil, err
		}
		peer, err := ln.Accept()
		if err != nil {
			return nil, nil, err
		}
		conn := c.(*net.TCPConn)
		_ = conn.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		_, _ = io.Copy(conn, endless{}) // until the buffers are full
		if err := conn.SetLinger(3600); err != nil {
			return nil, nil, err
		}
		conns, peers = append(conns, conn), append(peers, peer)
	}
	return conns, func() {
		for _, p := range peers {
			_ = p.Close()
		}
	}, nil
}

// endless is a reader of as many bytes as are wanted.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// block sends connections whose close blocks, on both sockets, and keeps on writing to them from other processes than the
// one that serves, which is what anybody of its user can do.
func block(c *supervise.Client) error {
	serving := signed(supervise.Serving, 1)
	if err := c.Tell(serving); err != nil {
		return err
	}
	conns, _, err := blocked(2)
	if err != nil {
		return err
	}
	notify, err := net.Dial("unixgram", os.Getenv("NOTIFY_SOCKET"))
	if err != nil {
		return err
	}
	// The supervisor must be the last to close them: meanwhile it reads nothing.
	if err := stop(os.Getppid()); err != nil {
		return err
	}
	for i, to := range []syscall.Conn{notify.(syscall.Conn), c.File()} {
		if err := sendAway(to, conns[i]); err != nil {
			return err
		}
	}
	if err := syscall.Kill(os.Getppid(), syscall.SIGCONT); err != nil {
		return err
	}
	for _, text := range []string{"", "x", strings.Repeat("{", 60<<10), `{"v":1,"kind":"alive"}`} {
		for _, to := range []io.Writer{notify, c.File()} {
			go func() {
				for {
					if _, err := to.Write([]byte(text)); err != nil {
						time.Sleep(time.Millisecond) // the buffer is full
					}
				}
			}()
		}
	}
	fmt.Println("floods")
	return nil
}

// stop stops all threads of a process, of which the kernel tells each by itself.
func stop(pid int) error {
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return err
	}
	for {
		stopped := true
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		for _, path := range threads {
			text, readErr := os.ReadFile(path)
			err = errors.Join(err, readErr)
			stopped = stopped && strings.Contains(string(text), ") T ")
		}
		if stopped || err != nil {
			return err
		}
		time.Sleep(time.Millisecond)
	}
}

func descriptorOf(c syscall.Conn) (n int) {
	raw, err := c.SyscallConn()
	if err == nil {
		_ = raw.Control(func(fd uintptr) { n = int(fd) })
	}
	return n
}

// sendAway sends a connection, behind other descriptors. In this process it goes: the one on its way is the last, and whoever
// gets it closes the connection.
func sendAway(to syscall.Conn, conn *net.TCPConn, before ...int) error {
	raw, err := to.SyscallConn()
	if err != nil {
		return err
	}
	own := descriptorOf(conn)
	rights := unix.UnixRights(append(before, own)...)
	ctlErr := raw.Control(func(fd uintptr) { err = unix.Sendmsg(int(fd), []byte(`{"v":1,"kind":"alive"}`), rights, nil, 0) })
	return errors.Join(ctlErr, err, unix.Dup3(int(os.Stdin.Fd()), own, unix.O_CLOEXEC))
}

// The supervisor passes a stop on within a second whatever its sockets are flooded with, and ends when nobody lives.
func TestFloodDoesNotKeepTheSupervisorFromItsWork(t *testing.T) {
	path := filepath.Join(t.TempDir(), "systemd")
	systemd, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	must(t, err)
	defer func() { must(t, systemd.Close()) }()
	go func() { _, _ = io.Copy(io.Discard, systemd) }()
	f := start(t, "blocker", "NOTIFY_SOCKET="+path)
	f.line("floods")
	time.Sleep(time.Second) // is what is tested: all that there is to read has been read, or blocks
	began := time.Now()
	must(t, f.cmd.Process.Signal(syscall.SIGTERM))
	f.line("generation 1 stops")
	if took := time.Since(began); took > 2*time.Second { // one for the supervisor, one for a machine that is busy
		t.Errorf("the stop has been passed on after %v", took)
	}
	if err := f.cmd.Wait(); err != nil {
		t.Errorf("the supervisor has ended with %v", err)
	}
}

func limitFiles(n uint64) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	limit.Cur = n
	return unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
}

// fewFiles are as many descriptors as a crowd can fill.
const fewFiles = 40

// hoard has the supervisor use up all of its descriptors: by processes that say that they are generations, until there is one
// left, and by a message that takes that one for an hour, since a connection for which there is no room is closed while it is read.
func hoard(c *supervise.Client) error {
	if os.Getuid() == 0 {
		if err := syscall.Setuid(nobody); err != nil {
			return err
		}
	}
	upgrading := signed(supervise.Upgrading, 1)
	upgrading.Within = limit
	if err := errors.Join(c.Tell(signed(supervise.Serving, 1)), c.Tell(upgrading)); err != nil {
		return err
	}
	conns, _, err := blocked(1)
	if err != nil {
		return err
	}
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGUSR2)
	if err := assemble(c, fewFiles); err != nil {
		return err
	}
	fmt.Println("pid", os.Getpid(), "hoarder")
	<-told // nothing is read
	err = sendAway(c.File(), conns[0], int(os.Stdin.Fd()))
	fmt.Println("hoards")
	return err
}

// awaitRead waits until all has been read that was sent on a socket.
func awaitRead(f *os.File) error {
	for deadline := time.Now().Add(limit); ; time.Sleep(time.Millisecond) {
		n, err := unix.IoctlGetInt(descriptorOf(f), unix.SIOCOUTQ)
		if err != nil || n == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return errors.New("the supervisor does not read")
		}
	}
}

// A stop is passed on also where the service's user has had the supervisor open all that it could.
func TestDescriptorsAreNotUsedUp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "systemd")
	systemd, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	must(t, err)
	defer func() { must(t, systemd.Close()) }()
	go func() { _, _ = io.Copy(io.Discard, systemd) }()
	f := start(t, "hoarder", "NOTIFY_SOCKET="+path, fmt.Sprintf("%s=%d", filesEnv, fewFiles))
	hoarder := 0
	for range fewFiles + 1 {
		text, name, _ := strings.Cut(f.line("pid "), " ")
		pid, err := strconv.Atoi(text)
		must(t, err)
		if name == "hoarder" {
			hoarder = pid
			continue
		}
		t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
	}
	channel := takeChannel(t, hoarder, f.cmd.Process.Pid)
	must(t, awaitRead(channel))
	must(t, channel.Close())
	must(t, stop(f.cmd.Process.Pid)) // what is sent is to be gone from its sender when it is read
	must(t, syscall.Kill(hoarder, syscall.SIGUSR2))
	f.line("hoards")
	must(t, f.cmd.Process.Signal(syscall.SIGCONT))
	time.Sleep(time.Second) // is what is tested: all that there is to read has been read, or blocks
	must(t, f.cmd.Process.Signal(syscall.SIGTERM))
	f.line("generation 1 stops")
	f.logs("signal passed on")
}

package supervise_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/supervise"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/reexec"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// users are those that the supervisor of a part is told of.
var users = map[string]*supervise.User{
	"riser":     {UID: nobody, GID: nobody},
	"typist":    {UID: nobody, GID: nobody},
	"forger":    {UID: nobody, GID: nobody},
	"scribbler": {UID: nobody, GID: nobody},
	"mourner":   {UID: nobody, GID: nobody},
	"hoarder":   {UID: nobody, GID: nobody},
}

// crowd is how many processes of the service end at once. Under a flood each took a fifth of a second.
const crowd = 24

func init() {
	roles["crowd"] = reexec.OrFail(startCrowd)
	roles["member"] = reexec.OrFail(join)
}

func serve(c *supervise.Client) error {
	err := c.Notify(signed(supervise.Serving, 1))
	fmt.Println("serves")
	return err
}

// superviseAgain is what a program does whose mark was gone when gozd looked. Its generation 1 would end at once.
func superviseAgain(*supervise.Client) error {
	_, err := supervise.Run(supervise.Options{Binary: "/bin/true", Log: slog.New(slog.DiscardHandler), Started: func() {}})
	fmt.Println("Run says:", err)
	return nil
}

// Who has a supervisor does not become one, or each process would start another.
func TestSupervisorIsNotSupervised(t *testing.T) {
	f := start(t, "again")
	if said := f.line("Run says: "); !strings.Contains(said, "this process has a supervisor") {
		t.Errorf("Run says %q", said)
	}
}

// rise serves as a user without rights, and becomes root's as by a set-user-ID program.
func rise(c *supervise.Client) error {
	if err := syscall.Setresuid(nobody, nobody, 0); err != nil {
		return err
	}
	if err := c.Notify(signed(supervise.Serving, 1)); err != nil {
		return err
	}
	if err := syscall.Setresuid(0, 0, 0); err != nil {
		return err
	}
	fmt.Println("is root")
	return nil
}

// The supervisor, which is root, signals no process that the service's user could not signal.
func TestRootIsNotSignalled(t *testing.T) {
	require.Root(t)
	f := start(t, "riser")
	f.line("is root")
	must(t, f.cmd.Process.Signal(syscall.SIGTERM))
	f.logs("signal not passed on")
	select {
	case said := <-f.lines:
		t.Errorf("root's process says %q", said)
	default:
	}
}

// gather announces an upgrade and has many processes adopted by the supervisor that say that they are generations.
func gather(c *supervise.Client) error {
	upgrading := signed(supervise.Upgrading, 1)
	upgrading.Within = limit
	if err := c.Notify(signed(supervise.Serving, 1)); err != nil {
		return err
	}
	if err := c.Notify(upgrading); err != nil {
		return err
	}
	if err := assemble(c, crowd); err != nil {
		return err
	}
	fmt.Println("gathered")
	for range 2 {
		go func() {
			for c.Notify(signed(supervise.Alive, 1)) == nil {
			}
		}()
	}
	return nil
}

// assemble starts n processes with the channel, which the supervisor adopts.
func assemble(c *supervise.Client, n int) error {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), reexec.Env+"=crowd", fmt.Sprintf("%s=%d", partEnv, n))
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = os.Stdout, os.Stderr, []*os.File{c.File()}
	return cmd.Run()
}

func startCrowd() error {
	n, err := strconv.Atoi(os.Getenv(partEnv))
	if err != nil {
		return err
	}
	for range n {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), reexec.Env+"=member")
		cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = os.Stdout, os.Stderr, []*os.File{os.NewFile(3, "channel")}
		if err := cmd.Start(); err != nil {
			return err
		}
	}
	return nil
}

func join() error {
	if err := sayStarting(os.NewFile(3, "channel")); err != nil {
		return err
	}
	fmt.Println("pid", os.Getpid(), "member")
	time.Sleep(limit)
	return nil
}

// A stop is passed on within a second, also where many generations have ended at once and the channel is flooded.
func TestManyEndsDoNotKeepTheSupervisorFromItsWork(t *testing.T) {
	f := start(t, "crowd")
	var members []int
	for gathered := false; len(members) < crowd || !gathered; {
		said := f.line("")
		if gathered = gathered || said == "gathered"; said == "gathered" {
			continue
		}
		pid, err := strconv.Atoi(strings.Fields(said)[1])
		must(t, err)
		members = append(members, pid)
	}
	for _, pid := range members { // it is adopted when its parent has ended
		for parentOf(t, pid) != f.cmd.Process.Pid {
			time.Sleep(time.Millisecond)
		}
	}
	must(t, daemon.Freeze(f.cmd.Process.Pid))
	for _, pid := range members {
		must(t, syscall.Kill(pid, syscall.SIGKILL))
	}
	must(t, f.cmd.Process.Signal(syscall.SIGCONT))
	f.logs("a generation has ended")
	began := time.Now()
	must(t, f.cmd.Process.Signal(syscall.SIGTERM))
	f.line("generation 1 stops")
	if took := time.Since(began); took > 2*time.Second { // one for the supervisor, one for a machine that is busy
		t.Errorf("the stop has been passed on after %v", took)
	}
}

// A log that nobody takes any more, as where a generation has shut it down, does not end the supervisor; nor do its children
// ignore what it survives.
func TestSupervisorSurvivesItsLog(t *testing.T) {
	r, w, err := os.Pipe()
	must(t, err)
	f := startLogging(t, "server", w)
	must(t, w.Close())
	must(t, r.Close())
	f.line("serves")
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", f.cmd.Process.Pid))
	must(t, err)
	_, ignored, _ := strings.Cut(string(status), "SigIgn:")
	mask, err := strconv.ParseUint(strings.Fields(ignored)[0], 16, 64)
	if err != nil || mask&(1<<(syscall.SIGPIPE-1)) != 0 {
		t.Errorf("the supervisor ignores the signals %x, %v, and so would its children", mask, err)
	}
	must(t, f.cmd.Process.Signal(syscall.SIGTERM)) // is logged
	f.line("generation 1 stops")
	if err := f.cmd.Wait(); err != nil {
		t.Errorf("the supervisor has ended with %v", err)
	}
}

// leaveNoHeir announces an upgrade that takes for ever, starts something else, and ends.
func leaveNoHeir(c *supervise.Client) error {
	cmd := exec.Command("sleep", fmt.Sprint(limit.Seconds()))
	upgrading := signed(supervise.Upgrading, 1)
	upgrading.Within = 1<<63 - 1
	if err := errors.Join(c.Notify(signed(supervise.Serving, 1)), c.Notify(upgrading), cmd.Start()); err != nil {
		return err
	}
	fmt.Println("pid", cmd.Process.Pid, "sleeper")
	os.Exit(3)
	return nil
}

// A supervisor that is to end waits for no successor of a generation that has ended, whatever that has said.
func TestStopWithoutHeir(t *testing.T) {
	f := start(t, "childless")
	sleeper := f.speakers(1)["sleeper"]
	t.Cleanup(func() { _ = syscall.Kill(sleeper, syscall.SIGKILL) })
	f.logs("a generation has ended")
	if parentOf(t, sleeper) != f.cmd.Process.Pid {
		t.Error("the supervisor has not adopted what could be the successor: this shows nothing")
	}
	must(t, f.cmd.Process.Signal(syscall.SIGTERM))
	f.wantEnd(3)
}

// wantEnd waits for the supervisor's end.
func (f *front) wantEnd(status int) {
	f.t.Helper()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = f.cmd.Wait() // the status is looked at below
	}()
	select {
	case <-ended:
	case <-time.After(limit / 2):
		f.t.Error("the supervisor does not end")
		_ = f.cmd.Process.Kill()
		<-ended
		return
	}
	if got := f.cmd.ProcessState.ExitCode(); got != status {
		f.t.Errorf("the supervisor has ended with %d, want %d", got, status)
	}
}

// However often systemd is asked to wait, the end of the daemon has one.
func TestExtensionsHaveAnEnd(t *testing.T) {
	const day = 24 * time.Hour
	var x supervise.Extension
	now := time.Now()
	for _, step := range []struct {
		after, within time.Duration
		ending        bool
		want          string
	}{
		{0, time.Second, false, "EXTEND_TIMEOUT_USEC=1000000"},
		{0, -1, false, "EXTEND_TIMEOUT_USEC=0"},
		{0, 1<<63 - 1, false, "EXTEND_TIMEOUT_USEC=86400000000"},
		{30 * day, day, false, "EXTEND_TIMEOUT_USEC=86400000000"}, // it serves
		{40 * day, time.Minute, true, "EXTEND_TIMEOUT_USEC=60000000"},
		{40*day + time.Hour, day, true, "EXTEND_TIMEOUT_USEC=82800000000"},
		{41*day - time.Second, day, true, "EXTEND_TIMEOUT_USEC=1000000"},
		{41 * day, day, true, ""},
		{42 * day, day, true, ""},
	} {
		if got := x.Line(step.within, step.ending, now.Add(step.after)); got != step.want {
			t.Errorf("after %v a request for %v, in the end %t, is %q, want %q", step.after, step.within, step.ending, got, step.want)
		}
	}
}

// A log that nobody reads, as on a terminal that has been stopped, does not make the supervisor deaf, nor does its end wait.
func TestSupervisorDoesNotWaitForItsLog(t *testing.T) {
	r, w, err := os.Pipe()
	must(t, err)
	defer func() { must(t, r.Close()) }()
	must(t, w.SetWriteDeadline(time.Now().Add(200*time.Millisecond)))
	if _, err := io.Copy(w, endless{}); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("the pipe is not full:", err)
	}
	f := startLogging(t, "server", w)
	must(t, w.Close())
	f.line("serves")
	must(t, f.cmd.Process.Signal(syscall.SIGTERM)) // is logged, and so is the end of the generation
	f.line("generation 1 stops")
	f.wantEnd(0)
}

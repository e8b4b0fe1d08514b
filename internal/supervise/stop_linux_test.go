package supervise_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/supervise"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/reexec"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

func init() {
	roles["deaf"] = reexec.OrFail(ignoreStop)
	roles["blind"] = reexec.OrFail(superviseBlindly)
}

// standBy serves, and says then that it would serve again if a successor died that nobody has.
func standBy(c *supervise.Client) error {
	draining := signed(supervise.Draining, 1)
	draining.StandsBy = true
	err := errors.Join(c.Notify(signed(supervise.Serving, 1)), c.Notify(draining))
	fmt.Println("stands by")
	return err
}

// A generation that stands by where nobody serves is asked to end, and waited for.
func TestStandbyIsAskedToEnd(t *testing.T) {
	f := start(t, "standby")
	f.line("stands by")
	must(t, f.cmd.Process.Signal(syscall.SIGTERM))
	f.line("generation 1 stops")
	f.wantEnd(0)
}

// yield has a successor that does not end, and serves again when it is told to.
func yield(c *supervise.Client) error {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGUSR2)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), reexec.Env+"=deaf")
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = os.Stdout, os.Stderr, []*os.File{c.File()}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := errors.Join(c.Notify(signed(supervise.Serving, 1)), c.Notify(signed(supervise.Upgrading, 1)), cmd.Start()); err != nil {
		return err
	}
	<-told
	return c.Notify(signed(supervise.Failed, 1))
}

func ignoreStop() error {
	signal.Ignore(syscall.SIGTERM)
	if err := sayServing(os.NewFile(3, "channel")); err != nil {
		return err
	}
	fmt.Println("pid", os.Getpid(), "deaf")
	time.Sleep(limit)
	return nil
}

// A stop that has gone to a process which took over for a moment goes to the generation that serves again, too.
func TestStopGoesToWhoServesAgain(t *testing.T) {
	f := start(t, "yielder")
	deaf := f.speakers(1)["deaf"]
	generation := parentOf(t, deaf)
	must(t, f.cmd.Process.Signal(syscall.SIGTERM))
	f.logs(fmt.Sprintf(`msg="signal passed on" supervisor=%d signal=terminated generation=2`, f.cmd.Process.Pid))
	must(t, syscall.Kill(generation, syscall.SIGUSR2))
	f.line("generation 1 stops")
}

// What is sent while others are heard is not waited for, or a flood would take all the time that there is.
func TestFloodIsNotHeardToItsEnd(t *testing.T) {
	ours, theirs, err := supervise.NewChannel()
	must(t, err)
	raw, err := theirs.SyscallConn()
	must(t, err)
	inbox, err := supervise.OpenInbox(ours, 0)
	must(t, err)
	event := []byte(`{"v":1,"kind":"alive","names":[` + strings.Repeat(`"a",`, 10000) + `"a"]}`)
	flooded := make(chan struct{})
	go func() {
		defer close(flooded)
		_ = raw.Control(func(fd uintptr) {
			for err := error(nil); err == nil || errors.Is(err, unix.EAGAIN); {
				err = unix.Sendmsg(int(fd), event, nil, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
			}
		})
	}()
	for began, all := time.Now(), 0; all < 1000; {
		n, _ := inbox.Drain(supervise.NewAllowance(limit), nil)
		if time.Since(began) > limit/2 {
			t.Fatalf("%d messages have been heard, and there is no end", n)
		}
		all += n
	}
	inbox.Close()
	<-flooded
	must(t, theirs.Close())
}

// openBlocked returns an inbox whose reader is blocked until the test's end.
func openBlocked(t *testing.T) supervise.Inbox {
	t.Helper()
	ours, theirs, err := supervise.NewChannel()
	must(t, err)
	conns, release, err := blocked(1)
	must(t, err)
	must(t, sendAway(theirs, conns[0]))
	must(t, conns[0].Close())
	inbox, err := supervise.OpenInbox(ours, 0)
	must(t, err)
	t.Cleanup(func() {
		release()
		inbox.Close()
		must(t, theirs.Close())
	})
	return inbox
}

// A signal does not wait for a reader that is blocked.
func TestSignalEndsHearing(t *testing.T) {
	inbox := openBlocked(t)
	signals := make(chan os.Signal, 1)
	signals <- syscall.SIGTERM
	began := time.Now()
	if _, sig := inbox.Drain(supervise.NewAllowance(limit), signals); sig == nil || time.Since(began) > limit/2 {
		t.Errorf("hearing has ended after %v with the signal %v", time.Since(began), sig)
	}
}

// superviseBlindly is a supervisor that sees no process, as in a chroot.
func superviseBlindly() error {
	self, err := os.Executable()
	if err == nil {
		err = unix.Mount("none", "/proc", "tmpfs", 0, "")
	}
	if err != nil {
		return err
	}
	return superviseAs(self)
}

// A supervisor that could not know its generations does not start one.
func TestNoSupervisorWithoutProc(t *testing.T) {
	require.Root(t)
	cmd := reexec.Command(t, "blind", partEnv+"=server")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	late := time.AfterFunc(limit, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "/proc is not mounted") {
		t.Errorf("it has ended with %v, and says:\n%s", err, out)
	}
}

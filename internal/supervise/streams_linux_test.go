package supervise_test

import (
	"bufio"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/supervise"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/reexec"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// fileEnv is the file that a generation writes to.
const fileEnv = "GOZD_TEST_FILE"

// lookAtTerminal says what a process of the service's user has of the terminal, and writes to it.
func lookAtTerminal(c *supervise.Client) error {
	if err := syscall.Setresuid(nobody, nobody, nobody); err != nil {
		return err
	}
	for fd := range 3 {
		if _, err := unix.IoctlGetTermios(fd, unix.TCGETS); err == nil {
			fmt.Println("descriptor", fd, "is the terminal")
		}
	}
	_ = os.Stdin.SetReadDeadline(time.Now().Add(time.Second)) // not where it is a file
	n, err := os.Stdin.Read(make([]byte, 1))
	fmt.Println("read", n, err)
	fmt.Fprintln(os.Stderr, "standard error")
	return c.Notify(signed(supervise.Serving, 1))
}

// scribble writes to the terminal until that takes nothing any more, and then waits for its end.
func scribble(c *supervise.Client) error {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	if err := lookAtTerminal(c); err != nil {
		return err
	}
	var written atomic.Int64
	go func() {
		for {
			n, _ := os.Stdout.Write(make([]byte, 512))
			written.Add(int64(n))
		}
	}()
	<-stop
	for before := int64(-1); written.Load() != before; time.Sleep(100 * time.Millisecond) {
		before = written.Load()
	}
	os.Exit(4)
	return nil
}

// mourn writes to the terminal when the supervisor has gone, and then to a file.
func mourn(c *supervise.Client) error {
	file, err := os.Create(os.Getenv(fileEnv))
	if err != nil {
		return err
	}
	if err := lookAtTerminal(c); err != nil {
		return err
	}
	<-c.Gone()
	_, err = fmt.Println("what is left to be done")
	_, err = fmt.Fprintln(file, err)
	return err
}

// onTerminal starts a supervisor on a terminal, and returns what is shown there.
func onTerminal(t *testing.T, part string, env ...string) (*front, *os.File) {
	t.Helper()
	require.Root(t)
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	must(t, err)
	master := os.NewFile(uintptr(fd), "terminal")
	t.Cleanup(func() { _ = master.Close() })
	must(t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	must(t, err)
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	must(t, err)
	defer func() { must(t, tty.Close()) }()
	f := &front{t: t, cmd: reexec.Command(t, "supervisor", append(env, partEnv+"="+part)...)}
	f.cmd.Stdin, f.cmd.Stdout, f.cmd.Stderr = tty, tty, tty
	f.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	must(t, f.cmd.Start())
	t.Cleanup(func() { _, _ = f.cmd.Process.Kill(), f.cmd.Wait() }) // it has ended, if all went well
	must(t, master.SetReadDeadline(time.Now().Add(limit)))
	return f, master
}

// shown reads until a line is shown.
func shown(t *testing.T, lines *bufio.Scanner, last string) string {
	t.Helper()
	var all strings.Builder
	for lines.Scan() {
		fmt.Fprintln(&all, strings.TrimSuffix(lines.Text(), "\r"))
		if strings.HasPrefix(lines.Text(), last) {
			return all.String()
		}
	}
	t.Fatalf("the terminal shows no %q, but %q: %v", last, all.String(), lines.Err())
	return ""
}

// What runs as the service's user has no descriptor of root's terminal, from which it could read what root types. What it
// writes is shown there, also its last words.
func TestTerminalIsNotPassedOn(t *testing.T) {
	f, master := onTerminal(t, "typist")
	lines := bufio.NewScanner(master)
	if got := shown(t, lines, "standard error"); got != "read 0 EOF\nstandard error\n" {
		t.Errorf("the terminal shows %q", got)
	}
	must(t, f.cmd.Process.Signal(syscall.SIGTERM))
	shown(t, lines, "generation 1 stops")
	f.wantEnd(0)
}

// The supervisor does not wait for a terminal that shows nothing any more.
func TestStoppedTerminal(t *testing.T) {
	f, master := onTerminal(t, "scribbler")
	shown(t, bufio.NewScanner(master), "standard error")
	must(t, f.cmd.Process.Signal(syscall.SIGTERM))
	f.wantEnd(4)
}

// A supervisor that is killed takes none of the generations along that write to the terminal by it.
func TestWritesAfterTheSupervisor(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	f, master := onTerminal(t, "mourner", fileEnv+"="+file)
	shown(t, bufio.NewScanner(master), "standard error")
	must(t, f.cmd.Process.Kill())
	for deadline := time.Now().Add(limit); ; time.Sleep(5 * time.Millisecond) {
		text, err := os.ReadFile(file)
		must(t, err)
		if strings.Contains(string(text), "broken pipe") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the generation has ended by its write, or has written %q", text)
		}
	}
}

package supervise_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/supervise"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/reexec"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// forge reads what root's shell is to read, says which outputs are sockets, and writes over what root has written.
func forge(c *supervise.Client) error {
	if err := syscall.Setresuid(nobody, nobody, nobody); err != nil {
		return err
	}
	n, err := os.Stdin.Read(make([]byte, 4))
	fmt.Fprintln(os.Stdout, "read", n, err)
	for fd := 1; fd <= 2; fd++ {
		if _, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); err == nil {
			fmt.Fprintln(os.Stdout, "socket", fd)
		}
		_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETFL, 0) // without O_APPEND
		_, _ = unix.Pwrite(fd, []byte("forged"), 0)
		_ = unix.Ftruncate(fd, 3)
	}
	fmt.Fprintln(os.Stderr, "standard error")
	return c.Notify(signed(supervise.Serving, 1))
}

// What runs as the service's user has none of root's files: what it writes is appended, and root's shell reads on where it was.
func TestFilesAreNotPassedOn(t *testing.T) {
	require.Root(t)
	dir := t.TempDir()
	script, output := filepath.Join(dir, "script"), filepath.Join(dir, "output")
	must(t, os.WriteFile(script, []byte("app -f\nexit\n"), 0o600))
	must(t, os.WriteFile(output, []byte("root's line\n"), 0o600))
	in, err := os.Open(script)
	must(t, err)
	defer func() { must(t, in.Close()) }()
	_, err = in.Seek(7, io.SeekStart) // the shell has read the first line
	must(t, err)
	out, err := os.OpenFile(output, os.O_WRONLY|os.O_APPEND, 0)
	must(t, err)
	defer func() { must(t, out.Close()) }()
	f := startWith(t, in, out)
	var text string
	require.Eventually(t, "output in the file", func() bool {
		data, err := os.ReadFile(output)
		must(t, err)
		text = string(data)
		return strings.Contains(text, "standard error\n")
	})
	if !strings.HasPrefix(text, "root's line\n") || !strings.Contains(text, "read 0 EOF\n") {
		t.Errorf("the file has %q", text)
	}
	if at, err := in.Seek(0, io.SeekCurrent); at != 7 || err != nil {
		t.Errorf("the script is read on at %d, %v, want 7", at, err)
	}
	must(t, f.cmd.Process.Signal(syscall.SIGTERM))
	f.wantEnd(0)
}

// startWith starts a supervisor with these streams, whose generations become the service's user.
func startWith(t *testing.T, in, out *os.File) *front {
	t.Helper()
	f := &front{t: t, cmd: reexec.Command(t, "supervisor", partEnv+"=forger")}
	f.cmd.Stdin, f.cmd.Stdout, f.cmd.Stderr = in, out, out
	must(t, f.cmd.Start())
	t.Cleanup(func() { _, _ = f.cmd.Process.Kill(), f.cmd.Wait() }) // it has ended, if all went well
	return f
}

// A socket may be root's input and output, as inetd has it. What runs as the service's user does not have it as an output either: it could read.
func TestInputIsNotPassedOnAsOutput(t *testing.T) {
	require.Root(t)
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	ours, theirs := os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
	defer func() { must(t, ours.Close()) }()
	f := startWith(t, theirs, theirs)
	must(t, theirs.Close())
	lines := bufio.NewScanner(ours)
	for lines.Scan() && lines.Text() != "standard error" {
		if fd, ok := strings.CutPrefix(lines.Text(), "socket "); ok {
			t.Errorf("descriptor %s is the socket", fd)
		}
	}
	must(t, lines.Err())
	must(t, f.cmd.Process.Signal(syscall.SIGTERM))
	f.wantEnd(0)
}

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

// forge reads what root's shell is to read, says which outputs it could read from, and writes over what root has written.
func forge(c *supervise.Client) error {
	if err := syscall.Setresuid(nobody, nobody, nobody); err != nil {
		return err
	}
	n, err := os.Stdin.Read(make([]byte, 4))
	fmt.Fprintln(os.Stdout, "read", n, err)
	for fd := 1; fd <= 2; fd++ {
		anew, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", fd), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if flags, getErr := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); getErr != nil || flags&unix.O_ACCMODE != unix.O_WRONLY || err == nil {
			fmt.Fprintln(os.Stdout, "readable", fd) // as sockets are
		}
		_ = unix.Close(anew)
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

// A socket may be the input of root's shell and its output, as inetd has it, also where the supervisor's own input is another one, as after "&". What runs
// as the service's user does not have it as an output either: it could read. Neither does it have a named pipe that is open for both.
func TestInputIsNotPassedOnAsOutput(t *testing.T) {
	require.Root(t)
	null, err := os.Open(os.DevNull)
	must(t, err)
	defer func() { must(t, null.Close()) }()
	for _, tt := range []struct {
		name  string
		open  func(*testing.T) (ours, theirs *os.File)
		input *os.File // the output, if it is nil
	}{
		{"socket", socketpair, nil},
		{"socket of the shell's", socketpair, null},
		{"named pipe", namedPipe, null},
		{"named pipe for all", namedPipeForAll, null},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ours, theirs := tt.open(t)
			defer func() { must(t, ours.Close()) }()
			in := tt.input
			if in == nil {
				in = theirs
			}
			f := startWith(t, in, theirs)
			must(t, theirs.Close())
			lines := bufio.NewScanner(ours)
			for lines.Scan() && lines.Text() != "standard error" {
				if fd, ok := strings.CutPrefix(lines.Text(), "readable "); ok {
					t.Errorf("the generation could read from descriptor %s", fd)
				}
			}
			must(t, lines.Err())
			must(t, f.cmd.Process.Signal(syscall.SIGTERM))
			f.wantEnd(0)
		})
	}
}

func socketpair(t *testing.T) (ours, theirs *os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	return os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
}

// namedPipe is open for both on either side, as a shell has it after "<>".
func namedPipe(t *testing.T) (ours, theirs *os.File) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pipe")
	must(t, unix.Mkfifo(path, 0o600))
	ours, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	theirs, err = os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	return ours, theirs
}

// namedPipeForAll is open for writing alone, in a directory that nobody else may enter; its mode is that of mkfifo.
func namedPipeForAll(t *testing.T) (ours, theirs *os.File) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pipe")
	must(t, os.Chmod(filepath.Dir(path), 0o700))
	must(t, unix.Mkfifo(path, 0o600))
	must(t, os.Chmod(path, 0o644))
	ours, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	theirs, err = os.OpenFile(path, os.O_WRONLY, 0)
	must(t, err)
	return ours, theirs
}

// What can only be written to is passed on: the writing end of a pipe, and the journal's socket, by which the journal learns who writes.
func TestOnlyWrittenIsPassedOn(t *testing.T) {
	require.Root(t)
	ours, theirs := socketpair(t)
	defer func() { must(t, ours.Close()) }()
	var st unix.Stat_t
	must(t, unix.Fstat(int(theirs.Fd()), &st))
	t.Setenv("JOURNAL_STREAM", fmt.Sprintf("%d:%d", st.Dev, st.Ino))
	null, err := os.Open(os.DevNull)
	must(t, err)
	defer func() { must(t, null.Close()) }()
	f := startWith(t, null, theirs)
	must(t, theirs.Close())
	passed := 0
	for lines := bufio.NewScanner(ours); lines.Scan() && lines.Text() != "standard error"; {
		if strings.HasPrefix(lines.Text(), "readable ") {
			passed++
		}
	}
	if passed != 2 {
		t.Errorf("%d descriptors are the journal's socket, want 2", passed)
	}
	must(t, f.cmd.Process.Signal(syscall.SIGTERM))
	f.wantEnd(0)
}

package supervise_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/supervise"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/reexec"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// forge reads what root's shell is to read, and writes over what root has written.
func forge(c *supervise.Client) error {
	if err := syscall.Setresuid(nobody, nobody, nobody); err != nil {
		return err
	}
	n, err := os.Stdin.Read(make([]byte, 4))
	fmt.Fprintln(os.Stdout, "read", n, err)
	for fd := 1; fd <= 2; fd++ {
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
	f := &front{t: t, cmd: reexec.Command(t, "supervisor", partEnv+"=forger")}
	f.cmd.Stdin, f.cmd.Stdout, f.cmd.Stderr = in, out, out
	must(t, f.cmd.Start())
	t.Cleanup(func() { _, _ = f.cmd.Process.Kill(), f.cmd.Wait() }) // it has ended, if all went well
	var text string
	for deadline := time.Now().Add(limit); !strings.Contains(text, "standard error\n"); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the file has %q", text)
		}
		data, err := os.ReadFile(output)
		must(t, err)
		text = string(data)
	}
	if !strings.HasPrefix(text, "root's line\n") || !strings.Contains(text, "read 0 EOF\n") {
		t.Errorf("the file has %q", text)
	}
	if at, err := in.Seek(0, io.SeekCurrent); at != 7 || err != nil {
		t.Errorf("the script is read on at %d, %v, want 7", at, err)
	}
	must(t, f.cmd.Process.Signal(syscall.SIGTERM))
	f.wantEnd(0)
}

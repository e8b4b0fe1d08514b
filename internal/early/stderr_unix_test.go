//go:build unix

package early

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/reexec"
)

// talk is a process that says something before it is ready and afterwards, and opens a log meanwhile.
func talk() error {
	log, err := os.OpenFile(os.Getenv("LOG"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	os.Stderr.WriteString("before\n")
	if err := SetStderr(int(log.Fd())); err != nil {
		return err
	}
	os.Stderr.WriteString("between\n")
	RestoreStderr(os.Getenv("POUR") != "")
	os.Stderr.WriteString("after\n")
	return nil
}

func TestStderrIsKeptUntilReady(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, mark, pour string
		named            bool // the file has a name: it is somebody else's
		stderr, kept     string
		log              string
	}{
		{"poured", DetachedEnv + "=3", "POUR=yes", false, "", "before\nbetween\n", "before\nbetween\nafter\n"},
		{"not poured", DetachedEnv + "=3", "", false, "", "before\nbetween\n", "after\n"},
		{"nobody waits", "X=y", "POUR=yes", false, "before\n", "", "between\nafter\n"},
		{"another mark", DetachedEnv + "=4", "POUR=yes", false, "before\n", "", "between\nafter\n"},
		{"another's file", DetachedEnv + "=3", "POUR=yes", true, "before\n", "", "between\nafter\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			cmd := reexec.Command(t, "a process that talks", "LOG="+filepath.Join(dir, "log"), test.mark, test.pour)
			stderr, kept := create(t, filepath.Join(dir, "stderr")), create(t, filepath.Join(dir, "kept"))
			if !test.named {
				if err := os.Remove(kept.Name()); err != nil {
					t.Fatal(err)
				}
			}
			cmd.Stderr = stderr
			runWithPipe(t, cmd, kept)
			for _, f := range []struct{ name, got, want string }{
				{"the standard error", read(t, stderr), test.stderr},
				{"what is kept", read(t, kept), test.kept},
			} {
				if f.got != f.want {
					t.Errorf("%s is %q, want %q", f.name, f.got, f.want)
				}
			}
			if log, err := os.ReadFile(filepath.Join(dir, "log")); err != nil || string(log) != test.log {
				t.Errorf("the log is %q, %v, want %q", log, err, test.log)
			}
		})
	}
}

// runWithPipe runs a process that has a pipe for descriptor 3.
func runWithPipe(t *testing.T, cmd *exec.Cmd, kept *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	cmd.ExtraFiles = []*os.File{w, kept}
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
}

func create(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func read(t *testing.T, f *os.File) string {
	t.Helper()
	buf := make([]byte, 1<<10)
	n, _ := f.ReadAt(buf, 0)
	return string(buf[:n])
}

package process_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/reexec"
)

// pathEnv is the file that a role is about.
const pathEnv = "GOZD_TEST_PATH"

// roles are what the test binary does when a test runs it again.
var roles = make(map[string]func())

func TestMain(m *testing.M) { reexec.Main(m, roles) }

// role returns a command that has this binary play a role.
func role(t *testing.T, name, path string) *exec.Cmd {
	t.Helper()
	return reexec.Command(t, name, pathEnv+"="+path)
}

// output plays a role to its end and decodes what it prints into v.
func output(t *testing.T, cmd *exec.Cmd, v any) {
	t.Helper()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("the role failed: %v, %s", err, stderrOf(err))
	}
	if err := json.Unmarshal(out, v); err != nil {
		t.Fatalf("the role printed %q: %v", out, err)
	}
}

func stderrOf(err error) []byte {
	if e, ok := err.(*exec.ExitError); ok {
		return e.Stderr
	}
	return nil
}

// say prints what output decodes.
func say(v any) { _ = json.NewEncoder(os.Stdout).Encode(v) }

// pidfileIn returns the path of a PID file in a directory of the test's own.
func pidfileIn(tb testing.TB) string {
	tb.Helper()
	return filepath.Join(tb.TempDir(), "app.pid")
}

func acquire(t *testing.T, pidfile string) *process.Lock {
	t.Helper()
	l, err := process.Acquire(pidfile)
	if err != nil {
		t.Fatalf("Acquire: %v", err)
	}
	t.Cleanup(l.Leave)
	return l
}

// serve writes the files of a daemon that is this very process, as it would
// when it is ready.
func serve(t *testing.T, pidfile string) *process.State {
	t.Helper()
	start, err := process.StartTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	s := &process.State{PID: os.Getpid(), StartTime: start, Generation: 1}
	write(t, pidfile, s)
	return s
}

func write(t *testing.T, pidfile string, s *process.State) {
	t.Helper()
	if err := process.WritePID(pidfile, s.PID); err != nil {
		t.Fatal(err)
	}
	if err := process.WriteState(pidfile, s); err != nil {
		t.Fatal(err)
	}
}

// names returns what is in the directory of a PID file.
func names(t *testing.T, pidfile string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(pidfile))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

package hosts

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// runit is a service of runsvdir.
type runit struct{ sv, service string }

// TestRunit has Debian's runit start and watch the daemon, by the files of the examples.
func TestRunit(t *testing.T) {
	sv, runsvdir := require.Tool(t, "sv", "package runit"), require.Tool(t, "runsvdir", "package runit")
	d := prepare(t, binaries.Mixed(t), "app.pid", "app.log", supervised)
	r := &runit{sv: sv, service: filepath.Join(d.Dir, "sv", "app")}
	if err := os.MkdirAll(r.service, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"check", "run"} { // runsvdir finds a service whose last file is there
		if err := os.WriteFile(filepath.Join(r.service, name), []byte(example(t, "runit/"+name, d)), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	launch(t, exec.Command(runsvdir, "-P", filepath.Dir(r.service)), syscall.SIGHUP)
	checkManaged(t, d, r)
}

func (r *runit) do(t *testing.T, command string) string {
	t.Helper()
	return run(t, r.sv, "-w", "20", command, r.service)
}

func (r *runit) pid(t *testing.T) int {
	t.Helper()
	text := r.do(t, "status") // run: /DIR: (pid 123) 4s
	_, after, _ := strings.Cut(text, "(pid ")
	digits, _, _ := strings.Cut(after, ")")
	n, err := strconv.Atoi(digits)
	if err != nil || !strings.HasPrefix(text, "run: ") {
		t.Fatalf("sv status says %q", text)
	}
	return n
}

func (r *runit) hup(t *testing.T)  { t.Helper(); r.do(t, "hup") }
func (r *runit) usr1(t *testing.T) { t.Helper(); r.do(t, "1") }

// stop and start wait by themselves, the one for runsv and the other for the file check.
func (r *runit) stop(t *testing.T)  { t.Helper(); r.do(t, "stop") }
func (r *runit) start(t *testing.T) { t.Helper(); r.do(t, "start") }

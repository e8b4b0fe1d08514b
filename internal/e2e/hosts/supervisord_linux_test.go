package hosts

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// supervisordConf is what Debian's /etc/supervisor/supervisord.conf has, elsewhere.
const supervisordConf = `
[unix_http_server]
file=%[1]s/supervisor.sock

[supervisord]
nodaemon=true
logfile=%[1]s/supervisord.log
pidfile=%[1]s/supervisord.pid
childlogdir=%[1]s

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl=unix://%[1]s/supervisor.sock

[include]
files = %[1]s/conf.d/*.conf
`

// supervisord is the program app of one.
type supervisord struct{ ctl, conf string }

// TestSupervisord has Debian's supervisord start and watch the daemon, by the file of the examples.
func TestSupervisord(t *testing.T) {
	ctl, program := require.Tool(t, "supervisorctl", "package supervisor"), require.Tool(t, "supervisord", "package supervisor")
	d := prepare(t, binaries.Mixed(t), "app.pid", "app.log", supervised)
	dir := filepath.Join(d.Dir, "supervisor")
	s := &supervisord{ctl: ctl, conf: filepath.Join(dir, "supervisord.conf")}
	if err := os.MkdirAll(filepath.Join(dir, "conf.d"), 0o755); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{
		s.conf:                                   fmt.Sprintf(supervisordConf, dir),
		filepath.Join(dir, "conf.d", "app.conf"): example(t, "supervisord/app.conf", d, "/var/log/supervisor/app.log", filepath.Join(dir, "app.log")),
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	launch(t, exec.Command(program, "-c", s.conf), syscall.SIGTERM)
	checkManaged(t, d, s)
}

func (s *supervisord) do(t *testing.T, args ...string) string {
	t.Helper()
	return run(t, s.ctl, append([]string{"-c", s.conf}, args...)...)
}

func (s *supervisord) pid(t *testing.T) int {
	t.Helper()
	text := s.do(t, "pid", "app")
	n, err := strconv.Atoi(text)
	if err != nil || n == 0 {
		t.Fatalf("supervisorctl pid says %q", text)
	}
	return n
}

func (s *supervisord) hup(t *testing.T)   { t.Helper(); s.do(t, "signal", "HUP", "app") }
func (s *supervisord) usr1(t *testing.T)  { t.Helper(); s.do(t, "signal", "USR1", "app") }
func (s *supervisord) stop(t *testing.T)  { t.Helper(); s.do(t, "stop", "app") }
func (s *supervisord) start(t *testing.T) { t.Helper(); s.do(t, "start", "app") }

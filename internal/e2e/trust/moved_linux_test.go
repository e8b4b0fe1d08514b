package trust

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
)

// movedTo are what the configuration names in a directory of the service's user's. That user moves a directory or a file of somebody
// else's there, which he may: it lies in a directory of his.
var movedTo = map[string]struct {
	options string
	file    string // in home, as the configuration names it
	whole   bool   // the file's directory is moved, and else the file
}{
	"log directory":      {asNobody + "log home/dir/file\n", "dir/file", true},
	"log":                {asNobody + "log home/file\n", "file", false},
	"log, no user":       {"pidfile run/app.pid\nsupervise yes\nlog home/file\n", "file", false},
	"env_file":           {asNobody + "env_file home/file\n", "file", false},
	"env_file directory": {asNobody + "env_file home/dir/file\n", "dir/file", true},
	"PID file directory": {"pidfile home/dir/file\nsupervise yes\n", "dir/file", true},
}

// TestMovedFiles has the service's user move files and directories of root's and of a third user's: they are neither written to, nor
// replaced, nor read.
func TestMovedFiles(t *testing.T) {
	t.Parallel()
	for name, tt := range movedTo {
		for _, owner := range []int{0, stranger} {
			t.Run(fmt.Sprintf("%s of user %d", name, owner), func(t *testing.T) {
				t.Parallel()
				s := newService(t, tt.options, onlyWeb)
				ownDir(t, s.run, nobody)
				home := ownDir(t, filepath.Join(s.dir, "home"), nobody)
				const was = "SECRET=s3cret\n"
				path := filepath.Join(home, tt.file)
				if tt.whole {
					must(t, os.Mkdir(filepath.Dir(path), 0o700))
					must(t, os.Chown(filepath.Dir(path), owner, owner))
				}
				must(t, os.WriteFile(path, []byte(was), 0o600))
				must(t, os.Chown(path, owner, owner))
				var before unix.Stat_t
				must(t, unix.Stat(path, &before))
				o := run(s.command("-f"))
				if o.status == 0 || !strings.Contains(o.output, "have moved it") && !strings.Contains(o.output, "not root's alone") {
					t.Errorf("the start ends with %d: %s", o.status, o.output)
				}
				var now unix.Stat_t
				must(t, unix.Stat(path, &now))
				if data, err := os.ReadFile(path); err != nil || string(data) != was || now.Uid != before.Uid || now.Mode != before.Mode || now.Ino != before.Ino {
					t.Errorf("the file has %q now, and is user %d's: %v", data, now.Uid, err)
				}
				if strings.Contains(o.output, "s3cret") {
					t.Errorf("what only its owner may read is said: %s", o.output)
				}
				endAll(t, s.dir)
			})
		}
	}
}

// TestInheritableCapabilities has root start a daemon with capabilities to inherit, as some containers do: the service's user has none.
func TestInheritableCapabilities(t *testing.T) {
	t.Parallel()
	s := newService(t, asNobody, onlyWeb)
	s.attr = &syscall.SysProcAttr{AmbientCaps: []uintptr{unix.CAP_DAC_READ_SEARCH, unix.CAP_SETUID}}
	s.start(t)
	for range 2 {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.state().PID))
		must(t, err)
		for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapAmb"} {
			if !strings.Contains(string(text), set+":\t0000000000000000\n") {
				t.Errorf("generation %d has capabilities:\n%s", s.generation(), text)
			}
		}
		s.upgrade(t)
	}
	s.wantTERM(t)
}

// TestConfigurationOfAnotherDaemon has a third user's configuration name the PID file of a daemon of root's, and root act by it.
func TestConfigurationOfAnotherDaemon(t *testing.T) {
	t.Parallel()
	s := newService(t, asNobody, onlyWeb)
	s.start(t)
	before := s.state()
	own := filepath.Join(openDir(t), "app.conf")
	must(t, os.WriteFile(own, []byte("[gozd]\npidfile "+s.pidfile+"\n[web]\nmode http\nlisten 127.0.0.1:0\n"), 0o644))
	must(t, os.Chown(own, stranger, stranger))
	tool := filepath.Join(s.dir, "gozdctl")
	must(t, daemon.Install(binaries.Gozdctl(t), tool))
	for _, verb := range []string{"upgrade", "stop", "quit", "reopen", "rollback", "status"} {
		if o := run(exec.Command(tool, verb, "-c", own)); o.status == 0 || !strings.Contains(o.output, "runs by "+s.conf) {
			t.Errorf("gozdctl %s ends with %d: %s", verb, o.status, o.output)
		}
	}
	for _, verb := range []string{"stop", "quit", "reopen", "reload"} {
		if o := run(exec.Command(s.binary, "-c", own, "-s", verb)); o.status == 0 || !strings.Contains(o.output, "runs by "+s.conf) {
			t.Errorf("-s %s ends with %d: %s", verb, o.status, o.output)
		}
	}
	if o := run(exec.Command(tool, "check", own)); strings.Contains(o.output, "the daemon runs by it") {
		t.Errorf("gozdctl check: %s", o.output)
	}
	if now := s.state(); now.PID != before.PID || s.generation() != 1 {
		t.Errorf("the daemon is now %+v, and was %+v", now, before)
	}
	s.wantTERM(t)
}

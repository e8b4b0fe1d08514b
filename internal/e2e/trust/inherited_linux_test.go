package trust

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// What root's login has, a process that it starts has too: a keyring, descriptors, a directory.

// loginKey is a key in the session keyring of this thread, which is what the test runs in and starts processes from.
const loginKey = "gozd-test-of-root"

// logIn has a session keyring with a key, as pam_keyinit makes it.
func logIn(t *testing.T) {
	t.Helper()
	require.Root(t)
	runtime.LockOSThread() // the thread ends with the test
	_, err := unix.KeyctlInt(unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0)
	if err == nil {
		_, err = unix.AddKey("user", loginKey, []byte(secret), unix.KEY_SPEC_SESSION_KEYRING)
	}
	if err == nil {
		_, err = unix.KeyctlSearch(unix.KEY_SPEC_SESSION_KEYRING, "user", loginKey, 0)
	}
	if err != nil {
		require.Missing(t, fmt.Sprintf("keyrings: %v", err))
	}
}

// TestKeysOfRoot has root start a service from a login with a keyring, of which the service's user finds nothing.
func TestKeysOfRoot(t *testing.T) {
	for name, how := range map[string]struct {
		options string
		flags   []string
	}{
		"foreground":             {asNobody, []string{"-f", "-v"}},
		"detached, supervised":   {asNobody, []string{"-v"}},
		"detached, unsupervised": {"pidfile run/app.pid\nuser nobody\n", []string{"-v"}},
	} {
		t.Run(name, func(t *testing.T) {
			logIn(t)
			s := newService(t, how.options, onlyWeb)
			s.flags = how.flags
			s.start(t)
			want := "key: " + unix.ENOKEY.Error()
			if got, err := s.get("/key", url.Values{"name": {loginKey}}); err != nil || strings.TrimSpace(got) != want {
				t.Errorf("the service's user looks for root's key: %q, %v, want %q", got, err, want)
			}
		})
	}
}

// TestSessionOfTheService has root start a service without a terminal: in root's session the service's user could have root's
// processes get no processor, and continue what root has stopped.
func TestSessionOfTheService(t *testing.T) {
	t.Parallel()
	require.Root(t)
	for _, flags := range [][]string{{"-f", "-v"}, {"-v"}} {
		s := newService(t, asNobody, onlyWeb)
		s.flags = flags
		s.start(t)
		pid := s.state().PID
		session, err := unix.Getsid(pid)
		must(t, err)
		for _, other := range processesIn(s.dir) {
			var st unix.Stat_t
			must(t, unix.Stat(fmt.Sprintf("/proc/%d", other), &st))
			if theirs, err := unix.Getsid(other); st.Uid == 0 && (err != nil || theirs == session) {
				t.Errorf("%v: the service is in session %d, and root's process %d in %d, %v", flags, session, other, theirs, err)
			}
		}
		s.end(t)
	}
}

// TestWorkingDirectoryOfRoot has root start a service where the service's user could not get: no generation stays there. Elsewhere
// they do.
func TestWorkingDirectoryOfRoot(t *testing.T) {
	t.Parallel()
	for name, mode := range map[string]os.FileMode{"private": 0o700, "open": 0o755} {
		t.Run(name, func(t *testing.T) {
			s := newService(t, asNobody, onlyWeb)
			above := filepath.Join(openDir(t), "above")
			s.cwd = filepath.Join(above, "work")
			must(t, os.MkdirAll(s.cwd, 0o755))
			must(t, os.Chmod(above, mode))
			s.start(t)
			want := s.cwd
			if name == "private" {
				want = "/"
			}
			if got, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", s.state().PID)); err != nil || got != want {
				t.Errorf("the service's user is in %q, %v, want %q", got, err, want)
			}
			if logs := strings.Contains(s.logText(), "working directory, left for /"); logs != (name == "private") {
				t.Errorf("it says that it has left the directory: %t", logs)
			}
		})
	}
}

// TestHardLinks has the files of another user's daemon under further names in a directory of the service's user, as he can have
// them where fs.protected_hardlinks is 0. Root asked by these to end a daemon would end that one.
func TestHardLinks(t *testing.T) {
	t.Parallel()
	require.Root(t)
	const somebody = 12345
	dir := openDir(t)
	theirs, mine := filepath.Join(ownDir(t, filepath.Join(dir, "theirs"), somebody), "app.pid"), filepath.Join(ownDir(t, filepath.Join(dir, "mine"), nobody), "app.pid")
	program, conf := filepath.Join(dir, "app"), filepath.Join(dir, "app.conf")
	must(t, daemon.Install(binaries.Turncoat(t), program))
	must(t, os.WriteFile(conf, []byte("[gozd]\npidfile "+mine+"\nuser nobody\n"+onlyWeb), 0o644))
	other := begin(t, somebody, nil, "daemon", "-answer", "silence", theirs)
	pid := other.cmd.Process.Pid
	for _, end := range []string{"", ".lock", ".state", fmt.Sprintf(".%d.sock", pid)} {
		must(t, os.Link(theirs+end, mine+end))
	}
	for what, cmd := range map[string]*exec.Cmd{
		"gozdctl stop": exec.Command(binaries.Gozdctl(t), "--timeout", "5s", "stop", mine),
		"-s stop":      exec.Command(program, "-s", "stop", "-c", conf),
		"-s quit":      exec.Command(program, "-s", "quit", "-c", conf),
	} {
		if o := run(cmd); o.status == 0 || !strings.Contains(o.output, "names: not to be trusted") {
			t.Errorf("%s: status %d, %q", what, o.status, o.output)
		}
		if err := syscall.Kill(pid, 0); err != nil || startOf(t, pid) == 0 {
			t.Fatalf("%s: the other user's daemon has been ended: %v", what, err)
		}
	}
}

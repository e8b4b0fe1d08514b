package watched

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
)

// notice is what systemd is told of its store, in short, or READY.
type notice struct {
	what string // "READY", "+name" or "-name"
	addr string // of the socket that came along
}

// store returns what systemd is told of its store until the daemon says that it is ready.
func (m *manager) store() []notice {
	m.t.Helper()
	must(m.t, m.conn.SetReadDeadline(time.Now().Add(patience)))
	buf, oob := make([]byte, 8192), make([]byte, 512)
	var all []notice
	for {
		n, oobn, _, _, err := m.conn.ReadMsgUnix(buf, oob)
		must(m.t, err)
		text := string(buf[:n])
		_, name, _ := strings.Cut(text, "FDNAME=")
		switch {
		case strings.HasPrefix(text, "READY=1"):
			return all
		case strings.HasPrefix(text, "FDSTORE=1"):
			all = append(all, notice{"+" + name, addressIn(m.t, oob[:oobn])})
		case strings.HasPrefix(text, "FDSTOREREMOVE=1"):
			all = append(all, notice{what: "-" + name})
		}
	}
}

// addressIn is where the socket listens that came with a message.
func addressIn(t *testing.T, oob []byte) string {
	t.Helper()
	controls, err := syscall.ParseSocketControlMessage(oob)
	must(t, err)
	for i := range controls {
		fds, err := syscall.ParseUnixRights(&controls[i])
		if err != nil || len(fds) != 1 {
			continue
		}
		f := os.NewFile(uintptr(fds[0]), "socket")
		ln, err := net.FileListener(f)
		must(t, f.Close())
		must(t, err)
		defer func() { must(t, ln.Close()) }()
		return ln.Addr().String()
	}
	return ""
}

// TestStoreNotifications has systemd told of the sockets before it is told that the daemon is ready, and of changes only.
func TestStoreNotifications(t *testing.T) {
	m := newManager(t)
	d := newDaemon(t, "watched", "supervise yes", "fdstore yes")
	cmd := supervise(t, d, "NOTIFY_SOCKET="+m.path, "FDSTORE=7")
	const name = "gozd-web@127.0.0.1%3A0"
	want := func(what string, notices ...notice) {
		t.Helper()
		if got := m.store(); !slices.Equal(got, notices) {
			t.Errorf("%s: systemd is told %v, want %v", what, got, notices)
		}
	}
	want("start", notice{"+" + name, listens(t, d)})
	if n := listening(t, cmd.Process.Pid); n != 0 {
		t.Errorf("the supervisor holds %d listening sockets", n)
	}
	if env, err := get(d, "/env"); err != nil || strings.Contains(env, "FDSTORE=") {
		t.Errorf("a generation has systemd's variable in its environment: %v, %s", err, env)
	}
	upgrade(t, d, 1)
	want("upgrade")

	path := filepath.Join(d.Dir, "a b:c.sock")
	must(t, d.Configure("[web]\nmode http\nlisten \"unix:"+path+"\"\n", "supervise yes", "fdstore yes"))
	upgrade(t, d, 1)
	moved := "gozd-web@" + strings.NewReplacer(" ", "%20", ":", "%3A").Replace(path)
	want("another address", notice{what: "-" + name}, notice{"+" + moved, path})

	must(t, os.Rename(d.Binary, d.Binary+".good"))
	if _, err := d.Upgrade(t.Context()); err == nil {
		t.Error("an upgrade to nothing succeeds")
	}
	want("failed upgrade")
	must(t, os.Rename(d.Binary+".good", d.Binary))

	must(t, d.Configure("[web]\nmode http\nlisten \"unix:"+path+"\"\n", "supervise yes", "fdstore no"))
	upgrade(t, d, 1)
	want("off", notice{what: "-" + moved})
	must(t, cmd.Process.Signal(syscall.SIGTERM))
	ended(t, cmd)
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the socket's file is left although nobody keeps the socket: %v", err)
	}
}

// A generation that serves again after its successor has died has its own sockets kept again.
func TestStoreOfAGenerationThatServesAgain(t *testing.T) {
	m := newManager(t)
	d := newDaemon(t, "watched", "supervise yes", "fdstore yes")
	cmd := supervise(t, d, "NOTIFY_SOCKET="+m.path)
	before := notice{"+gozd-web@127.0.0.1%3A0", listens(t, d)}
	if got := m.store(); !slices.Equal(got, []notice{before}) {
		t.Fatalf("systemd is told %v, want %v", got, before)
	}
	slow := make(chan struct{})
	go func() { // it has generation 1 drain, and stand by, for as long
		defer close(slow)
		_, _ = get(d, "/notify?after=3s&text=X_APP=1")
	}()
	await(t, "asked", func() bool {
		out, err := exec.Command("ss", "-Htn", "state", "established", "src", before.addr).Output()
		return err == nil && len(out) > 0
	})
	must(t, d.Configure("[web]\nmode http\nlisten 127.0.0.1:0\n", "supervise yes", "fdstore no"))
	upgrade(t, d, 1)
	if got, want := m.store(), []notice{{what: "-" + before.what[1:]}}; !slices.Equal(got, want) {
		t.Fatalf("systemd is told %v, want %v", got, want)
	}
	must(t, syscall.Kill(servingPID(t, d), syscall.SIGKILL))
	if got := m.store(); !slices.Equal(got, []notice{before}) {
		t.Errorf("after the successor's death systemd is told %v, want %v", got, before)
	}
	<-slow
	must(t, cmd.Process.Signal(syscall.SIGTERM))
	ended(t, cmd)
}

// listens is the address of the group web.
func listens(t *testing.T, d *daemon.Daemon) string {
	t.Helper()
	target, err := d.Target("web")
	must(t, err)
	return target.Address
}

// listening counts the descriptors of sockets that listen.
func listening(t *testing.T, pid int) int {
	t.Helper()
	dir := filepath.Join("/proc", strconv.Itoa(pid), "fd")
	entries, err := os.ReadDir(dir)
	must(t, err)
	var inodes []string
	for _, e := range entries {
		to, _ := os.Readlink(filepath.Join(dir, e.Name())) // one that has been closed meanwhile is none
		if inode, ok := strings.CutPrefix(to, "socket:["); ok {
			inodes = append(inodes, strings.TrimSuffix(inode, "]"))
		}
	}
	n := 0
	for _, table := range []string{"tcp", "tcp6"} {
		text, err := os.ReadFile("/proc/net/" + table)
		must(t, err)
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); len(f) > 9 && slices.Contains(inodes, f[9]) {
				n++
			}
		}
	}
	return n
}

// TestStoreInVain has nothing but a line in the log come of fdstore where there is no systemd.
func TestStoreInVain(t *testing.T) {
	for _, supervisor := range []string{"yes", "auto"} {
		t.Run("supervise "+supervisor, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.sock")
			d := newDaemon(t, "watched")
			must(t, d.Configure("[web]\nmode http\nlisten unix:"+path+"\n", "supervise "+supervisor, "fdstore yes"))
			must(t, d.Start(t.Context()))
			if n := strings.Count(d.LogText(), "fdstore has no effect"); n != 1 {
				t.Errorf("the log says so %d times, want once", n)
			}
			upgrade(t, d, 1)
			if n := strings.Count(d.LogText(), "fdstore has no effect"); n != 1 {
				t.Errorf("the log says so %d times after an upgrade, want once", n)
			}
			must(t, d.Stop(t.Context()))
			if _, err := os.Lstat(path); !os.IsNotExist(err) {
				t.Errorf("the socket's file is left: %v", err)
			}
			if t.Failed() {
				t.Logf("log:\n%s", d.LogText())
			}
		})
	}
}

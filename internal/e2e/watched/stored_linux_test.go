package watched

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/freeport"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/shortdir"
)

// The service's user has systemd keep sockets under names of his own making: root neither removes a file that such a name
// has, nor gives away the one that the socket is bound to.
func TestStoredNamesLie(t *testing.T) {
	require.Root(t)
	dir := shortdir.Make(t)
	must(t, os.Chmod(dir, 0o755))
	web, roots := filepath.Join(dir, "app", "web.sock"), filepath.Join(dir, "root.sock")
	must(t, os.Mkdir(filepath.Dir(web), 0o755))
	for what, stored := range map[string]struct{ group, address, bound, others string }{
		"another's name":   {"gone", roots, "@" + filepath.Join(dir, "x"), roots},
		"another's socket": {"web", web, roots, web},
		"both":             {"gone", roots, roots, ""},
	} {
		t.Run(what, func(t *testing.T) {
			ln := listenAt(t, stored.bound)
			if stored.others != "" {
				must(t, listenAt(t, stored.others).Close()) // the file stays
			}
			d, err := daemon.New(filepath.Dir(web), runnable["watched"](t), "[web]\nmode http\nlisten unix:"+web+"\n", "user nobody", "fdstore yes")
			must(t, err)
			daemontest.GiveAway(t, d)
			f, err := ln.File()
			must(t, err)
			defer f.Close()
			name := "gozd-" + stored.group + "@" + strings.ReplaceAll(stored.address, ":", "%3A")
			cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" -f -v -c "$1"`, d.Binary, d.Conf)
			cmd.Dir, cmd.Env, cmd.ExtraFiles = d.Dir, append(os.Environ(), "LISTEN_FDNAMES="+name), []*os.File{f}
			watch(t, d, cmd)
			info, err := os.Lstat(roots)
			must(t, err)
			if st, ok := info.Sys().(*syscall.Stat_t); !ok || st.Uid != 0 || info.Mode().Perm() != 0o600 {
				t.Errorf("root's socket has become %v of user %d", info.Mode(), st.Uid)
			}
		})
	}
}

// Of two sockets under one name the one that was looked at is taken: root gives no other socket's file away.
func TestStoredNameOfTwo(t *testing.T) {
	require.Root(t)
	dir := shortdir.Make(t)
	must(t, os.Chmod(dir, 0o755))
	web, roots := filepath.Join(dir, "app", "web.sock"), filepath.Join(dir, "root.sock")
	must(t, os.Mkdir(filepath.Dir(web), 0o755))
	d, err := daemon.New(filepath.Dir(web), runnable["watched"](t), "[web]\nmode http\nlisten unix:"+web+"\n", "user nobody", "fdstore yes")
	must(t, err)
	var files []*os.File
	for _, path := range []string{roots, web} {
		f, err := listenAt(t, path).File()
		must(t, err)
		defer f.Close()
		files = append(files, f)
	}
	daemontest.GiveAway(t, d)
	name := "gozd-web@" + web
	cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=2 exec "$0" -f -v -c "$1"`, d.Binary, d.Conf)
	cmd.Dir, cmd.Env, cmd.ExtraFiles = d.Dir, append(os.Environ(), "LISTEN_FDNAMES="+name+":"+name), files
	watch(t, d, cmd)
	info, err := os.Lstat(roots)
	must(t, err)
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || st.Uid != 0 || info.Mode().Perm() != 0o600 {
		t.Errorf("root's socket has become %v of user %d", info.Mode(), st.Uid)
	}
	conn, err := net.Dial("unix", web)
	must(t, err)
	conn.Close()
}

// A name that says another address than its socket has is not believed: a group on the loopback interface would be open to the
// network, however often root restarts the daemon.
func TestStoredPortLies(t *testing.T) {
	elsewhere, err := net.Listen("tcp", "127.0.0.2:0")
	must(t, err)
	defer func() { _ = elsewhere.Close() }()
	f, err := elsewhere.(*net.TCPListener).File()
	must(t, err)
	defer f.Close()
	address := freeport.Address(t)
	d, err := daemon.New(shortdir.Make(t), runnable["watched"](t), "[web]\nmode http\nlisten "+address+"\n", "fdstore yes")
	must(t, err)
	name := "gozd-web@" + strings.ReplaceAll(address, ":", "%3A")
	cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" -f -v -c "$1"`, d.Binary, d.Conf)
	cmd.Dir, cmd.Env, cmd.ExtraFiles = d.Dir, append(os.Environ(), "LISTEN_FDNAMES="+name), []*os.File{f}
	watch(t, d, cmd)
	if to := daemontest.Target(t, d, "web"); to.Address != address {
		t.Errorf("the group listens on %s, want %s", to.Address, address)
	}
}

// listenAt listens on a socket that only root may use.
func listenAt(t *testing.T, path string) *net.UnixListener {
	t.Helper()
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	must(t, err)
	ln.SetUnlinkOnClose(false)
	t.Cleanup(func() {
		_ = ln.Close()
		_ = os.Remove(path)
	})
	if path[0] == '/' {
		must(t, os.Chmod(path, 0o600))
	}
	return ln
}

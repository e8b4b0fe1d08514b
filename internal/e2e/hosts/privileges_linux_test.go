package hosts

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// privilegedPort returns a free port that only root may bind.
func privilegedPort(t *testing.T) int {
	t.Helper()
	require.Root(t)
	limit, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start")
	if err != nil || strings.TrimSpace(string(limit)) != "1024" {
		require.Missing(t, fmt.Sprintf("net.ipv4.ip_unprivileged_port_start is %q, %v, not 1024", limit, err))
	}
	for port := 1023; port > 512; port-- {
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_ = ln.Close()
			return port
		}
	}
	t.Fatal("no privileged port is free")
	return 0
}

func nobody(t *testing.T) *process.Identity {
	t.Helper()
	id, err := process.LookupIdentity("nobody", "")
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// wantThreads checks in all threads of a process whose they are, and that they have no capability.
func wantThreads(t *testing.T, pid, uid, gid int, groups string) {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(files) < 2 {
		t.Fatalf("threads of %d: %v, %v", pid, files, err)
	}
	u, g := strconv.Itoa(uid), strconv.Itoa(gid)
	want := map[string]string{
		"Uid": strings.Join([]string{u, u, u, u}, " "), "Gid": strings.Join([]string{g, g, g, g}, " "), "Groups": groups,
		"CapEff": "0000000000000000", "CapPrm": "0000000000000000", "CapAmb": "0000000000000000",
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		got := make(map[string]string)
		for line := range strings.Lines(string(data)) {
			name, value, _ := strings.Cut(line, ":")
			if _, asked := want[name]; asked {
				got[name] = strings.Join(strings.Fields(value), " ")
			}
		}
		if !maps.Equal(got, want) {
			t.Errorf("%s has %v, want %v", file, got, want)
		}
	}
}

// wantFile checks mode and owner.
func wantFile(t *testing.T, path string, mode fs.FileMode, id *process.Identity) {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Error(err)
		return
	}
	st := info.Sys().(*syscall.Stat_t)
	if info.Mode() != mode || int(st.Uid) != id.UID || int(st.Gid) != id.GID {
		t.Errorf("%s is %v of %d:%d, want %v of %d:%d", path, info.Mode(), st.Uid, st.Gid, mode, id.UID, id.GID)
	}
}

// clients are some of each kind that there is for http.
func clients(t *testing.T, to load.Target) *load.Load {
	t.Helper()
	l := load.New(nil)
	l.Interval = 2 * time.Millisecond
	l.Add("new connections", 2, func() (load.Client, error) { return load.NewGet(to, load.GetOptions{}) })
	l.Add("keep-alive", 3, func() (load.Client, error) { return load.NewKeepAlive(to, load.KeepAliveOptions{BodySize: 1000}) })
	l.Start(t.Context())
	return l
}

// awaitServed waits until a generation has answered every kind of client some times.
func awaitServed(t *testing.T, l *load.Load, generation int) {
	t.Helper()
	eventually(t, fmt.Sprintf("generation %d answers everybody", generation), func() bool {
		return !slices.ContainsFunc(l.Recorder().Snapshot().Kinds, func(s load.Stats) bool { return s.Served[generation] < 5 })
	})
}

func endLoad(t *testing.T, l *load.Load) {
	t.Helper()
	if err := l.Stop(); err != nil {
		t.Error(err)
	}
	if l.Recorder().Failed() > 0 {
		var table strings.Builder
		_ = l.Recorder().WriteTable(&table)
		t.Errorf("%d exchanges failed\n%s", l.Recorder().Failed(), table.String())
	}
}

const asUser = `
[gozd]
pidfile    PIDFILE
log        LOG
user       nobody
group      54322
max_files  4000
supervise  %s

[web]
mode    http
listen  127.0.0.1:%d

[plain]
mode    http
listen  unix:sockets/plain.sock
`

// TestPrivilegedPortStays has a daemon that root starts become another user, and upgrades it under load: the port that
// only root can bind stays, and whatever generations need to write is theirs. A supervisor changes nothing.
func TestPrivilegedPortStays(t *testing.T) {
	for _, supervise := range []string{"no", "yes"} {
		t.Run("supervise "+supervise, func(t *testing.T) {
			port := privilegedPort(t)
			checkPrivilegedPort(t, port, fmt.Sprintf(asUser, supervise, port))
		})
	}
}

func checkPrivilegedPort(t *testing.T, port int, config string) {
	t.Helper()
	d := prepare(t, binaries.Mixed(t), "run/app.pid", "log/app.log", config)
	start(t, d)
	id := nobody(t)
	id.GID = 54322
	l := clients(t, daemontest.Target(t, d, "web"))
	for generation := 1; ; generation++ {
		awaitServed(t, l, generation)
		wantOwned(t, d, id)
		if generation == 4 {
			break
		}
		daemontest.Upgrade(t, d)
	}
	wantNewPortRefused(t, d, port, config)
	awaitServed(t, l, 4)
	configure(t, d, config)
	daemontest.Upgrade(t, d)
	awaitServed(t, l, 5)
	endLoad(t, l)
	if err := d.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	wantEmpty(t, filepath.Join(d.Dir, "run"))
	wantEmpty(t, filepath.Join(d.Dir, "sockets"))
}

// wantOwned checks the serving process and its files.
func wantOwned(t *testing.T, d *daemon.Daemon, id *process.Identity) {
	t.Helper()
	s, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	wantThreads(t, s.PID, id.UID, id.GID, "54322 65534")
	wantFile(t, filepath.Dir(d.PIDFile), fs.ModeDir|0o755, id)
	wantFile(t, d.PIDFile, 0o644, id)
	wantFile(t, process.StatePath(d.PIDFile), 0o644, id)
	wantFile(t, process.LockPath(d.PIDFile), 0o600, id) // whoever can read it can take the lock
	wantFile(t, filepath.Dir(d.Log), fs.ModeDir|0o750, id)
	wantFile(t, d.Log, 0o640, id)
	wantFile(t, filepath.Join(d.Dir, "sockets"), fs.ModeDir|0o755, id)
	wantFile(t, filepath.Join(d.Dir, "sockets/plain.sock"), fs.ModeSocket|0o660, id)
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", s.PID))
	if err != nil || !slices.ContainsFunc(strings.Split(string(limits), "\n"), func(line string) bool {
		f := strings.Fields(line)
		return strings.HasPrefix(line, "Max open files") && f[3] == "4000"
	}) {
		t.Errorf("max_files 4000 has become %s, %v", limits, err)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.PID))
	if err != nil || !strings.Contains(string(status), "\nUmask:\t0027\n") {
		t.Errorf("the umask is not 0027: %s, %v", status, err)
	}
}

// wantNewPortRefused upgrades to another privileged port, which fails and says which right is lacking.
func wantNewPortRefused(t *testing.T, d *daemon.Daemon, port int, config string) {
	t.Helper()
	other := privilegedPort(t)
	if other == port {
		t.Fatalf("port %d is free, and the daemon listens on it", port)
	}
	configure(t, d, config+fmt.Sprintf("\n[app]\nmode fcgi\nlisten 127.0.0.1:%d\n", other))
	_, err := d.Upgrade(t.Context())
	want := fmt.Sprintf("[app]: listen tcp 127.0.0.1:%d: bind: permission denied: the port is privileged, and user %d needs CAP_NET_BIND_SERVICE for it",
		other, nobody(t).UID)
	if failed := new(client.UpgradeError); !errors.As(err, &failed) || !strings.Contains(failed.Reason, want) {
		t.Errorf("upgrade to a new privileged port: %v\nwant %s", err, want)
	}
}

func wantEmpty(t *testing.T, dir string) {
	t.Helper()
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("%s holds %v, %v; want nothing", dir, entries, err)
	}
}

// TestDefaultPIDFileOfAUser has a daemon with a user and no pidfile upgrade, be started by another user's
// configuration after it was killed, and be found by root.
func TestDefaultPIDFileOfAUser(t *testing.T) {
	require.Root(t)
	name := "gozd-hosts-" + strconv.Itoa(os.Getpid())
	program := filepath.Join(t.TempDir(), name)
	if err := daemon.Install(binaries.Mixed(t), program); err != nil {
		t.Fatal(err)
	}
	d := prepare(t, program, "none", "app.log", "[gozd]\nlog LOG\nuser nobody\n[web]\nmode http\nlisten 127.0.0.1:0\n")
	run := filepath.Join("/run", name)
	d.PIDFile = filepath.Join(run, name+".pid")
	t.Cleanup(func() { _ = os.RemoveAll(run) })
	daemontest.EndWithTest(t, d)
	start(t, d)
	wantFile(t, run, fs.ModeDir|0o755, nobody(t))
	for range 2 {
		daemontest.Upgrade(t, d)
	}
	if output, err := d.Command(t.Context(), "-s", "reload").CombinedOutput(); err != nil {
		t.Errorf("-s reload of root: %v: %s", err, output)
	}
	s, err := d.State()
	if err != nil || s.Generation != 4 {
		t.Fatalf("the state is %+v, %v, want generation 4", s, err)
	}
	if err := d.WaitAlive(t.Context(), 1); err != nil { // or the one before would serve again
		t.Fatal(err)
	}
	kill(t, s)
	if err := d.WaitAlive(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	configure(t, d, "[gozd]\nuser 54323\ngroup 54323\n[web]\nmode http\nlisten 127.0.0.1:0\n")
	start(t, d)
	wantFile(t, run, fs.ModeDir|0o755, &process.Identity{UID: 54323, GID: 54323})
	daemontest.Upgrade(t, d)
	if output, err := d.Command(t.Context(), "-s", "stop").CombinedOutput(); err != nil {
		t.Errorf("-s stop of root: %v: %s", err, output)
	}
	wantEmpty(t, run)
}

func kill(t *testing.T, s *process.State) {
	t.Helper()
	signal(t, s.PID, s.StartTime, os.Kill)
}

// TestWarnsOfTheNextGeneration has root open what the user cannot: the log says so at the start.
func TestWarnsOfTheNextGeneration(t *testing.T) {
	require.Root(t)
	d := prepare(t, binaries.Mixed(t), "run/app.pid", "app.log",
		"[gozd]\npidfile PIDFILE\nlog LOG\nuser nobody\n[secure]\nmode https\nlisten 127.0.0.1:0\nkey key.pem\ncert cert.pem\n")
	key := filepath.Join(d.Dir, "key.pem")
	if err := errors.Join(os.Chmod(key, 0o600), os.Chmod(filepath.Join(d.Dir, "cert.pem"), 0o644), os.WriteFile(d.Log, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	start(t, d)
	for _, what := range []string{"cannot read " + key, "cannot write " + d.Log} {
		want := fmt.Sprintf(`msg="upgrades will fail" generation=1 pid=%d error="user %d %s: permission denied"`, pid(t, d), nobody(t).UID, what)
		if !strings.Contains(d.LogText(), want) {
			t.Errorf("the log does not say %s", want)
		}
	}
	if n := strings.Count(d.LogText(), "upgrades will fail"); n != 2 {
		t.Errorf("the log says it %d times, want 2", n)
	}
	if _, err := d.Upgrade(t.Context()); err == nil {
		t.Error("and yet the upgrade has succeeded")
	}
}

func pid(t *testing.T, d *daemon.Daemon) int {
	t.Helper()
	s, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	return s.PID
}

// TestLinksAreNotFollowed has a user plant links in his directories for root to fall over.
func TestLinksAreNotFollowed(t *testing.T) {
	require.Root(t)
	id := nobody(t)
	d := prepare(t, binaries.Mixed(t), "run/app.pid", "log/app.log", "[gozd]\npidfile PIDFILE\nlog LOG\nuser nobody\n[web]\nmode http\nlisten 127.0.0.1:0\n")
	secret := filepath.Join(d.Dir, "secret")
	if err := os.WriteFile(secret, []byte("root's"), 0o600); err != nil {
		t.Fatal(err)
	}
	lock := process.LockPath(d.PIDFile)
	for link, want := range map[string]string{
		lock:  "lock file: open " + lock + ": a symbolic link, which is not followed",
		d.Log: "log file: open " + d.Log + ": a symbolic link, which is not followed",
	} {
		plant(t, secret, link, id)
		output, err := d.Command(t.Context()).CombinedOutput()
		if err == nil || !strings.Contains(string(output), want) {
			t.Errorf("start = %v, %s, want %s", err, output, want)
		}
		if err := os.Remove(link); err != nil {
			t.Fatal(err)
		}
	}
	wantFile(t, secret, 0o600, &process.Identity{})
	if text, err := os.ReadFile(secret); err != nil || string(text) != "root's" {
		t.Errorf("the secret is %q, %v", text, err)
	}
}

// plant makes a link of id's in a directory of his, in the place of what a start before may have left.
func plant(t *testing.T, target, link string, id *process.Identity) {
	t.Helper()
	dir := filepath.Dir(link)
	_ = os.Remove(link)
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.Chown(dir, id.UID, id.GID), os.Symlink(target, link), os.Lchown(link, id.UID, id.GID)); err != nil {
		t.Fatal(err)
	}
}

// TestNewPrivilegedPortWithTheCapability has a user with CAP_NET_BIND_SERVICE, as a unit's AmbientCapabilities= gives it,
// take another privileged port at an upgrade.
func TestNewPrivilegedPortWithTheCapability(t *testing.T) {
	id := nobody(t)
	const web = "[gozd]\npidfile PIDFILE\nlog LOG\n[web]\nmode http\nlisten 127.0.0.1:%d\n"
	port := privilegedPort(t)
	d := prepare(t, binaries.Mixed(t), "app.pid", "app.log", fmt.Sprintf(web, port))
	if err := os.Chown(d.Dir, id.UID, id.GID); err != nil {
		t.Fatal(err)
	}
	daemon.AdoptOrphans()
	cmd := d.Command(t.Context())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential:  &syscall.Credential{Uid: uint32(id.UID), Gid: uint32(id.GID)},
		AmbientCaps: []uintptr{unix.CAP_NET_BIND_SERVICE},
	}
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("start: %v: %s", err, output)
	}
	for range 2 {
		port = privilegedPort(t)
		configure(t, d, fmt.Sprintf(web, port))
		daemontest.Upgrade(t, d)
		if to := daemontest.Target(t, d, "web"); !strings.HasSuffix(to.Address, fmt.Sprintf(":%d", port)) {
			t.Errorf("the daemon listens on %s, want port %d", to.Address, port)
		}
	}
}

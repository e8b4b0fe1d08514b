//go:build unix

package check_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/check"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/shortdir"
)

func occupied(t *testing.T, network, address string) string {
	t.Helper()
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return ln.Addr().String()
}

func entries(t *testing.T, dir string) int {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

func TestStartFindsNothing(t *testing.T) {
	dir := shortdir.Make(t)
	conf := parse(t, "[gozd]\npidfile %[1]s/new/app.pid\nlog %[1]s/app.log\n[web]\nmode http\nlisten 127.0.0.1:0\n[app]\nmode fcgi\nlisten %[1]s/app.sock\n", dir)
	if err := check.Start(conf, nil); err != nil {
		t.Errorf("Start = %v", err)
	}
	if n := entries(t, dir); n != 0 {
		t.Errorf("it has left %d files", n)
	}
}

// What the start makes is not missing.
func TestStartMakesDirectories(t *testing.T) {
	const text = "[gozd]\npidfile %[1]s/%[2]s/app.pid\nlog %[1]s/%[3]s/app.log\n%[5]s\n[app]\nmode fcgi\nlisten %[1]s/%[4]s/app.sock\n"
	me := "user " + strconv.Itoa(os.Geteuid()) + "\ngroup " + strconv.Itoa(os.Getegid())
	for _, test := range []struct {
		pidfile, log, socket, user string
		missing                    int
	}{
		{"new", "new", "new", "", 0},
		{"new", "log", "socket", me, 0},
		{"new", "log", "socket", "", 2},
		{"new", "log/app", "new/app", me, 2},
	} {
		dir := shortdir.Make(t)
		err := check.Start(parse(t, text, dir, test.pidfile, test.log, test.socket, test.user), nil)
		if n := strings.Count(fmt.Sprint(err), "no such file or directory"); n != test.missing || (err == nil) != (n == 0) {
			t.Errorf("%v: Start = %v", test, err)
		}
		if n := entries(t, dir); n != 0 {
			t.Errorf("it has left %d files", n)
		}
	}
}

func TestStartFindsAddressesInUse(t *testing.T) {
	dir := shortdir.Make(t)
	path := filepath.Join(dir, "app.sock")
	tcp, _ := occupied(t, "tcp", "127.0.0.1:0"), occupied(t, "unix", path)
	_, port, _ := net.SplitHostPort(tcp)
	conf := parse(t, "[gozd]\npidfile %s/app.pid\n[web]\nmode http\nlisten %s\n[app]\nmode fcgi\nlisten %s\n", dir, "0.0.0.0:"+port, path)
	err := check.Start(conf, nil)
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Fatalf("Start = %v, want EADDRINUSE", err)
	}
	for _, want := range []string{":3: [web]: listen tcp4 0.0.0.0:" + port, ":6: [app]: listen unix " + path} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("it says %q, want %q in it", err, want)
		}
	}
	// What the daemon itself has is not in use by others, also where it is to move to another host.
	own := map[string]string{"web": "tcp " + tcp, "app": "unix " + path}
	if err := check.Start(conf, own); err != nil {
		t.Errorf("for the daemon itself Start = %v", err)
	}
	if err := check.Start(conf, map[string]string{"web": "tcp 127.0.0.1:1"}); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("for a daemon elsewhere Start = %v, want EADDRINUSE", err)
	}
}

func TestStartFindsDirectories(t *testing.T) {
	dir := shortdir.Make(t)
	write(t, filepath.Join(dir, "file"), nil)
	conf := parse(t, `[gozd]
pidfile  %[1]s/missing/too/app.pid
log      %[1]s
[one]
mode    fcgi
listen  %[1]s/missing/app.sock
[two]
mode    fcgi
listen  %[1]s/file/app.sock
[three]
mode    fcgi
listen  %[1]s/file
`, dir)
	err := check.Start(conf, nil)
	if err == nil {
		t.Fatal("Start = nil")
	}
	for _, want := range []string{
		"[gozd]: pidfile: stat " + dir + "/missing: no such file or directory",
		"[gozd]: log: " + dir + ": is a directory",
		":4: [one]: listen: stat " + dir + "/missing: no such file or directory",
		":7: [two]: listen: " + dir + "/file: not a directory",
		":10: [three]: listen unix " + dir + "/file: a file is there that is no socket",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("it says\n%v\nwant %q in it", err, want)
		}
	}
}

// The daemon is root when it starts, and another user at every upgrade.
func TestStartFindsWhatTheUserMayNot(t *testing.T) {
	if os.Geteuid() != 0 {
		require.Missing(t, "only root can become another user")
	}
	if _, err := user.Lookup("nobody"); err != nil {
		require.Missing(t, "there is no user nobody")
	}
	dir := shortdir.Make(t)
	log := filepath.Join(dir, "app.log")
	write(t, log, nil)
	conf := parse(t, "[gozd]\npidfile %s/app.pid\nlog %s\nuser nobody\n[web]\nmode http\nlisten 127.0.0.1:0\n", dir, log)
	err := check.Start(conf, nil)
	if !errors.Is(err, fs.ErrPermission) {
		t.Fatalf("Start = %v, want fs.ErrPermission", err)
	}
	for _, want := range []string{"[gozd]: pidfile: " + dir + ": user ", "[gozd]: log: " + log + ": user "} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("it says %q, want %q in it", err, want)
		}
	}
	for _, path := range []string{dir, log} {
		if err := os.Chmod(path, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	if err := check.Start(conf, nil); err != nil {
		t.Errorf("with the rights Start = %v", err)
	}
}

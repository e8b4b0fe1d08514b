//go:build unix

package addresses

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// TestSocketFileChangesHands changes mode and owner of a Unix socket at an upgrade, with
// a stale file in its place at the start. Upgrades that fail change nothing.
func TestSocketFileChangesHands(t *testing.T) {
	const onFile = "[web]\nmode http\nlisten unix:web.sock\n"
	d := daemontest.Prepare(t, binaries.Mixed(t), onFile)
	path := filepath.Join(d.Dir, "web.sock")
	leaveSocketFile(t, path)
	if err := d.Start(t.Context()); err != nil {
		t.Fatalf("a stale socket file keeps the daemon from starting: %v", err)
	}
	wantAccess(t, path, 0o660, os.Geteuid())
	c := call(t, targetOf(path), false)
	defer c.stop()
	stranger := os.Geteuid()
	if stranger == 0 {
		stranger = 54321
	}
	owner := fmt.Sprintf("socket_owner %d\n", stranger)

	if err := d.Configure(onFile + "socket_mode 0666\n" + owner); err != nil {
		t.Fatal(err)
	}
	daemontest.UpgradeToCrash(t, d, "exit")
	wantAccess(t, path, 0o660, os.Geteuid())
	daemontest.UpgradeToOther(t, d)
	wantAccess(t, path, 0o666, stranger)
	if err := d.Configure(onFile + "socket_mode 0600\n" + owner); err != nil {
		t.Fatal(err)
	}
	daemontest.UpgradeToOther(t, d)
	wantAccess(t, path, 0o600, stranger)
	c.await(t, 10)
}

// TestSocketFileIsRemoved has somebody remove the socket's file of a daemon that runs: the next upgrade binds a new one,
// and the old generation does not take that away when it goes.
func TestSocketFileIsRemoved(t *testing.T) {
	d := daemontest.Prepare(t, binaries.Mixed(t), "[web]\nmode http\nlisten unix:web.sock\n")
	path := filepath.Join(d.Dir, "web.sock")
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		daemontest.UpgradeToOther(t, d)
		wantAccess(t, path, 0o660, os.Geteuid())
		c := call(t, targetOf(path), false)
		c.await(t, 10)
		c.stop()
	}
}

// wantAccess checks mode and owner of a socket's file.
func wantAccess(t *testing.T, path string, mode fs.FileMode, uid int) {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != fs.ModeSocket|mode {
		t.Errorf("%s has mode %v, want %v", path, info.Mode(), fs.ModeSocket|mode)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != uid {
		t.Errorf("%s belongs to user %d, want %d", path, st.Uid, uid)
	}
}

// TestSocketOfAnotherOwner upgrades a daemon that has given its socket to another user
// than the one that it has become: it must not touch the file any more, and need not.
func TestSocketOfAnotherOwner(t *testing.T) {
	require.Root(t)
	const groups = "[web]\nmode http\nlisten unix:web.sock\nsocket_mode 0640\nsocket_owner 54321\n"
	d := daemontest.Prepare(t, binaries.Mixed(t), groups, "user nobody")
	daemontest.GiveAway(t, d)
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(d.Dir, "web.sock")
	for range 2 {
		wantAccess(t, path, 0o640, 54321)
		daemontest.UpgradeToOther(t, d)
	}
	if err := d.Configure(strings.Replace(groups, "0640", "0600", 1), "user nobody"); err != nil {
		t.Fatal(err)
	}
	_, err := d.Upgrade(t.Context())
	want := "[web]: chmod " + path + ": operation not permitted"
	if failed := new(client.UpgradeError); !errors.As(err, &failed) || !strings.Contains(failed.Reason, want) {
		t.Errorf("upgrade to another mode = %v, want %q in it", err, want)
	}
	wantAccess(t, path, 0o640, 54321)
}

// TestSocketOfTheDaemonsUser has a daemon that becomes another user own its sockets: those of the start and those
// that upgrades add. Mode 0000 is a mode like others.
func TestSocketOfTheDaemonsUser(t *testing.T) {
	require.Root(t)
	nobody, err := process.LookupUser("nobody")
	if err != nil {
		t.Fatal(err)
	}
	const first, second = "[web]\nmode http\nlisten unix:web.sock\n", "[plain]\nmode http\nlisten unix:plain.sock\nsocket_mode 0000\n"
	d := daemontest.Prepare(t, binaries.Mixed(t), first, "user nobody")
	daemontest.GiveAway(t, d)
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	web, plain := filepath.Join(d.Dir, "web.sock"), filepath.Join(d.Dir, "plain.sock")
	wantAccess(t, web, 0o660, nobody)
	if err := d.Configure(first+"socket_mode 0666\n"+second, "user nobody"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		daemontest.UpgradeToOther(t, d)
		wantAccess(t, web, 0o666, nobody)
		wantAccess(t, plain, 0, nobody)
	}
}

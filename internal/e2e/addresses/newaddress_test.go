//go:build unix

package addresses

import (
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/freeport"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// TestNewAddressOfAFailedUpgrade has upgrades fail that have bound new addresses already, on
// the port of an old one too, and hold them for seconds. Nobody can connect to what may come to nothing: clients of
// the old address go on, those of a new one are refused until an upgrade to it succeeds.
func TestNewAddressOfAFailedUpgrade(t *testing.T) {
	require.Linux(t)
	d := daemontest.Start(t, web("0.0.0.0:0"), "upgrade_timeout 2s")
	_, port, err := net.SplitHostPort(daemontest.Target(t, d, "web").Address)
	if err != nil {
		t.Fatal(err)
	}
	narrow, sock, free := "127.0.0.1:"+port, filepath.Join(d.Dir, "plain.sock"), freeport.Address(t)
	groups := web(narrow) + plain("unix:plain.sock") + "[line]\nmode http\nlisten " + free + "\n"

	old := call(t, targetOf(narrow), false)
	defer old.stop()
	fresh := []*caller{call(t, targetOf(sock), true), call(t, targetOf(free), true)}
	for _, c := range fresh {
		defer c.stop()
	}
	if err := d.Configure(groups, "upgrade_timeout 2s"); err != nil {
		t.Fatal(err)
	}
	for _, crash := range []string{"exit", "leave a group out", "panic"} {
		daemontest.UpgradeToCrash(t, d, crash)
		old.await(t, 50)
	}
	for _, c := range fresh {
		if n := c.answered.Load(); n > 0 {
			t.Errorf("%d clients of %v were answered, which was never the daemon's", n, c.to)
		}
	}
	if err := daemon.Install(binaries.Mixed(t), d.Binary); err != nil {
		t.Fatal(err)
	}
	if err := d.Configure(web(narrow)+plain("unix:plain.sock"), "upgrade_timeout 2s"); err != nil {
		t.Fatal(err)
	}
	daemontest.Upgrade(t, d)
	old.await(t, 50)
	fresh[0].await(t, 10)
}

// TestNewAddressIsRolledBack has upgrades on probation serve an address that the old generation does not have. When
// they are rolled back, who has connected there is answered, and others are refused.
func TestNewAddressIsRolledBack(t *testing.T) {
	const probation = "probation 1m"
	for _, network := range []string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) {
			d := daemontest.Start(t, daemontest.OnlyWeb, probation)
			listen, address := "unix:plain.sock", filepath.Join(d.Dir, "plain.sock")
			if network == "tcp" {
				address = freeport.Address(t)
				listen = address
			}
			if err := d.Configure(daemontest.OnlyWeb+plain(listen), probation); err != nil {
				t.Fatal(err)
			}
			old, fresh := call(t, daemontest.Target(t, d, "web"), false), call(t, targetOf(address), true)
			defer old.stop()
			defer fresh.stop()
			for range 5 {
				probation, outcome := daemontest.BeginTrial(t, d)
				fresh.await(t, 10)
				if _, err := d.Rollback(t.Context()); err != nil {
					t.Fatal(err)
				}
				daemontest.WantRolledBack(t, d, probation, outcome, "rolled back on request")
				old.await(t, 10)
			}
		})
	}
}

// TestAddressThatSomebodyElseTakes has another program listen on the address of a new group between
// the moment at which that is bound and the one at which the successor would serve.
func TestAddressThatSomebodyElseTakes(t *testing.T) {
	require.Linux(t)
	const first, second = "[web]\nmode http\nlisten 127.0.0.1:0\n", "[web]\nmode http\nlisten "
	d := daemontest.Start(t, first)
	c := call(t, daemontest.Target(t, d, "web"), false)
	defer c.stop()
	free := freeport.Address(t)
	if err := d.Configure(second + free + "\n"); err != nil {
		t.Fatal(err)
	}
	goOn, told := daemontest.Dawdle(t, d)
	ln, err := net.Listen("tcp", free)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	goOn()
	want := "[web]: listen tcp " + free + ": listen: " + syscall.EADDRINUSE.Error()
	if err := <-told; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("upgrade = %v, want %q", err, want)
	}
	c.await(t, 10)
}

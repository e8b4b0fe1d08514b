package protocols

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loadtest"
)

// TestAcceptanceOfTheOriginal is the list by which the first gozd was accepted: a
// client that holds a connection when the daemon gets HUP is not disconnected and
// still served, a new client is served, two processes of the daemon exist, and
// "-s start" does not start another.
func TestAcceptanceOfTheOriginal(t *testing.T) {
	d := daemontest.Start(t, "[web]\nmode http\nlisten 127.0.0.1:0\n\n[plain]\nmode http\nlisten 127.0.0.1:0\n")
	before, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	for _, group := range []string{"web", "plain"} { // httpx.Serve and http.Serve
		if pid := loadtest.DialKeepAlive(t, daemontest.Target(t, d, group)).Get(); pid != before.PID {
			t.Fatalf("%s: served by %d, want %d", group, pid, before.PID)
		}
	}
	held := loadtest.DialKeepAlive(t, daemontest.Target(t, d, "plain"))
	held.Get()
	web := loadtest.DialKeepAlive(t, daemontest.Target(t, d, "web"))
	web.Get()

	daemontest.Upgrade(t, d)

	if pid := held.Get(); pid != before.PID {
		t.Errorf("plain http.Serve: the held connection is served by %d, want %d", pid, before.PID)
	}
	held.Get() // and goes on, any number of times
	web.Get()
	after, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	if pid := loadtest.DialKeepAlive(t, daemontest.Target(t, d, "web")).Get(); pid != after.PID || pid == before.PID {
		t.Errorf("a new client is served by %d, want %d", pid, after.PID)
	}
	if alive := d.Alive(); len(alive) != 2 {
		t.Errorf("%d processes of the daemon exist, want 2", len(alive))
	}

	output, err := d.Command(t.Context(), "-s", "start").CombinedOutput()
	if want := fmt.Sprintf("[GOZDERR] already running, pid %d (PID file %s): -s reload upgrades it\n", after.PID, d.PIDFile); err == nil || string(output) != want {
		t.Errorf("-s start: %v, output %q, want status 1 and %q", err, output, want)
	}
	if pid, err := process.ReadPID(d.PIDFile); err != nil || pid != after.PID {
		t.Errorf("after -s start the PID file names %d, %v, want %d", pid, err, after.PID)
	}
	if pid := held.Get(); pid != before.PID {
		t.Errorf("after -s start the held connection is served by %d, want %d", pid, before.PID)
	}
}

// TestLongConnectionOutlivesThreeUpgrades holds a TCP connection that cannot
// move: its generation stays for it, and so several live at once.
func TestLongConnectionOutlivesThreeUpgrades(t *testing.T) {
	d := daemontest.Start(t, "[line]\nmode tcp\nlisten 127.0.0.1:0\n")
	first, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	to := daemontest.Target(t, d, "line")
	conn, err := net.Dial(to.Network, to.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	lines := bufio.NewReader(conn)
	say := func(text string) {
		t.Helper()
		_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
		if _, err := fmt.Fprintln(conn, text); err != nil {
			t.Fatal(err)
		}
		got, err := lines.ReadString('\n')
		if want := fmt.Sprintf("%d %s\n", first.PID, text); err != nil || got != want {
			t.Fatalf("answer %q, %v, want %q", got, err, want)
		}
	}
	say("before")
	for i := range 3 {
		daemontest.Upgrade(t, d)
		say(fmt.Sprintf("after upgrade %d", i+1))
	}
	if err := d.WaitAlive(t.Context(), 2); err != nil { // the first for us, and the last
		t.Error(err)
	}
	_ = conn.Close()
	if err := d.WaitAlive(t.Context(), 1); err != nil {
		t.Error(err)
	}
}

// TestNewConfigurationAtUpgrade adds a group and removes another.
func TestNewConfigurationAtUpgrade(t *testing.T) {
	const web = "[web]\nmode http\nlisten 127.0.0.1:0\n"
	d := daemontest.Start(t, web+"[line]\nmode tcp\nlisten unix:line.sock\n")
	webBefore, line := daemontest.Target(t, d, "web"), daemontest.Target(t, d, "line")
	if err := d.Configure(web + "[app]\nmode fcgi\nlisten unix:app.sock\n"); err != nil {
		t.Fatal(err)
	}
	l := load.New(nil)
	loadtest.AddHTTP(l, webBefore)
	loadtest.UpgradeUnderLoad(t, d, l, 1)

	if got := daemontest.Target(t, d, "web"); got.Address != webBefore.Address {
		t.Errorf("web moved from %s to %s", webBefore.Address, got.Address)
	}
	c, err := load.NewFastCGI(daemontest.Target(t, d, "app"), load.FastCGIOptions{BodySize: 100})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if r, err := c.Do(t.Context()); err != nil || r.Generation != 2 {
		t.Errorf("the new group answers %+v, %v, want generation 2", r, err)
	}
	if conn, err := net.Dial(line.Network, line.Address); err == nil {
		_ = conn.Close()
		t.Errorf("the removed group still accepts on %s", line.Address)
	} else if !strings.Contains(err.Error(), "no such file") {
		t.Errorf("the removed group's socket file is left: %v", err)
	}
}

// TestAddressesChangeAtUpgrade moves a group to another host on the same port, from
// TCP to a Unix socket, and has two groups swap their addresses. Who connects to an
// address that stays is always served.
func TestAddressesChangeAtUpgrade(t *testing.T) {
	d := daemontest.Start(t, "[web]\nmode http\nlisten 127.0.0.1:0\n[plain]\nmode http\nlisten unix:plain.sock\n")
	web := daemontest.Target(t, d, "web")
	_, port, err := net.SplitHostPort(web.Address)
	if err != nil {
		t.Fatal(err)
	}
	for _, groups := range []string{
		"[web]\nmode http\nlisten 127.0.0.1:" + port + "\n[plain]\nmode http\nlisten unix:plain.sock\n",
		"[web]\nmode http\nlisten 0.0.0.0:" + port + "\n[plain]\nmode http\nlisten unix:plain.sock\n",
		"[web]\nmode http\nlisten 127.0.0.1:" + port + "\n[plain]\nmode http\nlisten unix:plain.sock\n",
		"[plain]\nmode http\nlisten 127.0.0.1:" + port + "\n[web]\nmode http\nlisten unix:plain.sock\n",
		"[web]\nmode http\nlisten 127.0.0.1:" + port + "\n[plain]\nmode http\nlisten 127.0.0.1:0\n",
		"[web]\nmode http\nlisten 127.0.0.1:" + port + "\n[plain]\nmode http\nlisten unix:plain.sock\n",
	} {
		if err := d.Configure(groups); err != nil {
			t.Fatal(err)
		}
		up, err := d.Upgrade(t.Context())
		if err != nil {
			t.Fatalf("upgrade to\n%s\n%v", groups, err)
		}
		for _, to := range []load.Target{{Network: "tcp", Address: web.Address}, daemontest.Target(t, d, "web"), daemontest.Target(t, d, "plain")} {
			// The old generation may have accepted it just before it stopped.
			if pid := loadtest.DialKeepAlive(t, to).Get(); pid != up.Served.PID && pid != up.OldPID {
				t.Errorf("%s is served by %d, want %d; configuration\n%s", to, pid, up.Served.PID, groups)
			}
		}
	}
}

package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
)

// keepAlive is a client that holds one connection.
type keepAlive struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

func dialKeepAlive(t *testing.T, to load.Target) *keepAlive {
	t.Helper()
	conn, err := net.Dial(to.Network, to.Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &keepAlive{t: t, conn: conn, r: bufio.NewReader(conn)}
}

// get does one request on the connection and returns the PID that answered.
func (k *keepAlive) get() int {
	k.t.Helper()
	_ = k.conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := fmt.Fprint(k.conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		k.t.Fatal(err)
	}
	resp, err := http.ReadResponse(k.r, nil)
	if err != nil {
		k.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	pid, err := strconv.Atoi(resp.Header.Get("X-Gozd-Pid"))
	if err != nil || resp.StatusCode != http.StatusOK {
		k.t.Fatalf("status %d, X-Gozd-Pid %q", resp.StatusCode, resp.Header.Get("X-Gozd-Pid"))
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		k.t.Fatal(err)
	}
	return pid
}

// TestAcceptanceOfTheOriginal is the list by which the first gozd was accepted: a
// client that holds a connection when the daemon gets HUP is not disconnected and
// still served, a new client is served, two processes of the daemon exist, and
// "-s start" does not start another.
func TestAcceptanceOfTheOriginal(t *testing.T) {
	d := start(t, "[web]\nmode http\nlisten 127.0.0.1:0\n\n[plain]\nmode http\nlisten 127.0.0.1:0\n")
	before, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	for _, group := range []string{"web", "plain"} { // httpx.Serve and http.Serve
		if pid := dialKeepAlive(t, target(t, d, group)).get(); pid != before.PID {
			t.Fatalf("%s: served by %d, want %d", group, pid, before.PID)
		}
	}
	held := dialKeepAlive(t, target(t, d, "plain"))
	held.get()
	web := dialKeepAlive(t, target(t, d, "web"))
	web.get()

	upgrade(t, d)

	if pid := held.get(); pid != before.PID {
		t.Errorf("plain http.Serve: the held connection is served by %d, want %d", pid, before.PID)
	}
	held.get() // and goes on, any number of times
	web.get()
	after, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	if pid := dialKeepAlive(t, target(t, d, "web")).get(); pid != after.PID || pid == before.PID {
		t.Errorf("a new client is served by %d, want %d", pid, after.PID)
	}
	if alive := d.Alive(); len(alive) != 2 {
		t.Errorf("%d processes of the daemon exist, want 2", len(alive))
	}

	output, err := d.Command(t.Context(), "-s", "start").CombinedOutput()
	if want := fmt.Sprintf("[GOZDERR] already running, pid %d\n", after.PID); err == nil || string(output) != want {
		t.Errorf("-s start: %v, output %q, want status 1 and %q", err, output, want)
	}
	if pid, err := process.ReadPID(d.PIDFile); err != nil || pid != after.PID {
		t.Errorf("after -s start the PID file names %d, %v, want %d", pid, err, after.PID)
	}
	if pid := held.get(); pid != before.PID {
		t.Errorf("after -s start the held connection is served by %d, want %d", pid, before.PID)
	}
}

// TestLongConnectionOutlivesThreeUpgrades holds a TCP connection that cannot
// move: its generation stays for it, and so several live at once.
func TestLongConnectionOutlivesThreeUpgrades(t *testing.T) {
	d := start(t, "[line]\nmode tcp\nlisten 127.0.0.1:0\n")
	first, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	to := target(t, d, "line")
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
		upgrade(t, d)
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
	d := start(t, web+"[line]\nmode tcp\nlisten unix:line.sock\n")
	webBefore, line := target(t, d, "web"), target(t, d, "line")
	if err := d.Configure(web + "[app]\nmode fcgi\nlisten unix:app.sock\n"); err != nil {
		t.Fatal(err)
	}
	l := load.New(nil)
	httpClients(l, webBefore)
	upgradeUnderLoad(t, d, l, 1)

	if got := target(t, d, "web"); got.Address != webBefore.Address {
		t.Errorf("web moved from %s to %s", webBefore.Address, got.Address)
	}
	c, err := load.NewFastCGI(target(t, d, "app"), load.FastCGIOptions{BodySize: 100})
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
	d := start(t, "[web]\nmode http\nlisten 127.0.0.1:0\n[plain]\nmode http\nlisten unix:plain.sock\n")
	web := target(t, d, "web")
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
		for _, to := range []load.Target{{Network: "tcp", Address: web.Address}, target(t, d, "web"), target(t, d, "plain")} {
			// The old generation may have accepted it just before it stopped.
			if pid := dialKeepAlive(t, to).get(); pid != up.New.PID && pid != up.Old.PID {
				t.Errorf("%s is served by %d, want %d; configuration\n%s", to, pid, up.New.PID, groups)
			}
		}
	}
}

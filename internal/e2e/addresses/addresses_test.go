package addresses

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/freeport"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// caller connects to one address again and again, a connection for each request. Who
// has connected must be answered. Who is refused has to have come while the address
// was not the daemon's.
type caller struct {
	to       load.Target
	absent   atomic.Bool // the address is not the daemon's, or not all of the time
	answered atomic.Int64
	end      chan struct{}
	done     sync.WaitGroup
}

// call starts callers of an address that end with the test.
func call(t *testing.T, to load.Target, absent bool) *caller {
	t.Helper()
	c := &caller{to: to, end: make(chan struct{})}
	c.absent.Store(absent)
	for range 2 {
		c.done.Go(func() {
			for c.again(t) {
			}
		})
	}
	return c
}

// again makes one request, after a moment.
func (c *caller) again(t *testing.T) bool {
	t.Helper()
	select {
	case <-c.end:
		return false
	case <-time.After(time.Millisecond):
	}
	absent := c.absent.Load()
	conn, err := net.DialTimeout(c.to.Network, c.to.Address, 10*time.Second)
	if err != nil {
		if !absent && !c.absent.Load() {
			t.Errorf("a client of %v, which the daemon never left: %v", c.to, err)
			return false
		}
		return true
	}
	if err := getOnce(conn); err != nil {
		t.Errorf("a client that had connected to %v: %v", c.to, err)
		return false
	}
	c.answered.Add(1)
	return true
}

// await waits until n more have been answered.
func (c *caller) await(t *testing.T, n int64) {
	t.Helper()
	n += c.answered.Load()
	daemontest.Await(t, fmt.Sprintf("answer on %v", c.to), func() bool { return c.answered.Load() >= n || t.Failed() })
}

func (c *caller) stop() {
	close(c.end)
	c.done.Wait()
}

// place is a configuration of the groups, and the addresses that are served then. PORT
// stands for the port of the first, DIR for the daemon's directory.
type place struct {
	groups string
	served []string
}

func web(listen string) string   { return fmt.Sprintf(webOn, listen) }
func plain(listen string) string { return strings.Replace(web(listen), "web", "plain", 1) }

// TestAddressChanges takes a daemon from place to place. A client of an address that is
// served before and after a change is never refused.
func TestAddressChanges(t *testing.T) {
	for _, tt := range []struct {
		name   string
		ipv6   bool
		linux  bool
		places []place
	}{
		{name: "IPv4 to every host and back", linux: true, places: []place{ // elsewhere there is only 127.0.0.1
			{web("127.0.0.1:0"), []string{"127.0.0.1:PORT"}},
			{web("0.0.0.0:PORT"), []string{"127.0.0.1:PORT", "127.0.0.2:PORT"}},
			{web("127.0.0.1:PORT"), []string{"127.0.0.1:PORT"}},
			{web("127.0.0.2:PORT"), []string{"127.0.0.2:PORT"}},
		}},
		{name: "IPv6 to every host and back", ipv6: true, places: []place{
			{web("[::1]:0"), []string{"[::1]:PORT"}},
			{web("[::]:PORT"), []string{"[::1]:PORT", "127.0.0.1:PORT"}},
			{web("[::1]:PORT"), []string{"[::1]:PORT"}},
		}},
		{name: "dual stack", ipv6: true, places: []place{
			{web("0.0.0.0:0"), []string{"127.0.0.1:PORT"}},
			{web("PORT"), []string{"127.0.0.1:PORT", "[::1]:PORT"}},
			{web("127.0.0.1:PORT"), []string{"127.0.0.1:PORT"}},
			{web(":PORT"), []string{"127.0.0.1:PORT", "[::1]:PORT"}},
			{web("0.0.0.0:PORT"), []string{"127.0.0.1:PORT"}},
			{web("[::1]:PORT"), []string{"[::1]:PORT"}},
			{web("127.0.0.1:PORT") + plain("[::1]:PORT"), []string{"127.0.0.1:PORT", "[::1]:PORT"}},
		}},
		{name: "TCP to Unix and back", places: []place{
			{web("127.0.0.1:PORT"), []string{"127.0.0.1:PORT"}}, // which nobody else gets meanwhile
			{web("unix:web.sock"), []string{"DIR/web.sock"}},
			{web("127.0.0.1:PORT"), []string{"127.0.0.1:PORT"}},
			{web("127.0.0.1:PORT") + plain("unix:web.sock"), []string{"127.0.0.1:PORT", "DIR/web.sock"}},
		}},
		{name: "renamed", places: []place{
			{web("127.0.0.1:0"), []string{"127.0.0.1:PORT"}},
			{plain("127.0.0.1:PORT"), []string{"127.0.0.1:PORT"}},
			{web("127.0.0.1:PORT"), []string{"127.0.0.1:PORT"}},
		}},
		{name: "renamed on a Unix socket", places: []place{
			{web("unix:a.sock"), []string{"DIR/a.sock"}},
			{plain("unix:a.sock"), []string{"DIR/a.sock"}},
			{web("unix:sub/../a.sock"), []string{"DIR/a.sock"}},
		}},
		{name: "swapped", places: []place{
			{web("127.0.0.1:0") + plain("unix:a.sock"), []string{"127.0.0.1:PORT", "DIR/a.sock"}},
			{plain("127.0.0.1:PORT") + web("unix:a.sock"), []string{"127.0.0.1:PORT", "DIR/a.sock"}},
			{web("127.0.0.1:PORT") + plain("unix:a.sock"), []string{"127.0.0.1:PORT", "DIR/a.sock"}},
		}},
		{name: "any port stays", places: []place{
			{web("127.0.0.1:0"), []string{"127.0.0.1:PORT"}},
			{web("127.0.0.1:0"), []string{"127.0.0.1:PORT"}},
			{web("127.0.0.1:0") + plain("127.0.0.1:0"), []string{"127.0.0.1:PORT"}},
			{plain("127.0.0.1:0") + web("127.0.0.1:0"), []string{"127.0.0.1:PORT"}},
		}},
		{name: "abstract", linux: true, places: []place{
			{web("@DIR/a"), []string{"@DIR/a"}},
			{plain("unix:@DIR/a"), []string{"@DIR/a"}},
			{plain("@DIR/a") + web("@DIR/b"), []string{"@DIR/a", "@DIR/b"}},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.linux {
				require.Linux(t)
			}
			if tt.ipv6 {
				withIPv6(t)
			}
			travel(t, tt.places)
		})
	}
}

// withIPv6 is a test of IPv6 on the loopback interface.
func withIPv6(t *testing.T) {
	t.Helper()
	ln, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		require.Missing(t, fmt.Sprintf("there is no IPv6: %v", err))
	}
	_ = ln.Close()
}

func travel(t *testing.T, places []place) {
	t.Helper()
	d := daemontest.Prepare(t, binaries.Mixed(t), "")
	_, port, err := net.SplitHostPort(freeport.Outside(t))
	require.NoError(t, err)
	fill := func(text string) string { return strings.NewReplacer("PORT", port, "DIR", d.Dir).Replace(text) }
	if err := d.Configure(fill(places[0].groups)); err != nil {
		t.Fatal(err)
	}
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, port, _ = net.SplitHostPort(daemontest.Target(t, d, "web").Address)

	callers := make(map[string]*caller)
	for i, p := range places {
		for _, address := range p.served {
			if callers[address] == nil {
				c := call(t, targetOf(fill(address)), i > 0)
				defer c.stop()
				callers[address] = c
			}
		}
	}
	for i, p := range places {
		if i > 0 {
			change(t, d, callers, places[i-1], p, fill)
		}
		for address, c := range callers {
			if slices.Contains(p.served, address) {
				c.await(t, 10)
			} else {
				awaitRefusal(t, d, c.to)
			}
		}
		if t.Failed() {
			t.Fatalf("at place %d:\n%s", i, fill(p.groups))
		}
	}
}

// targetOf tells the addresses of Unix sockets from others.
func targetOf(address string) load.Target {
	if strings.HasPrefix(address, "/") || strings.HasPrefix(address, "@") {
		return load.Target{Network: "unix", Address: address}
	}
	return load.Target{Network: "tcp", Address: address}
}

// change upgrades from one place to another.
func change(t *testing.T, d *daemon.Daemon, callers map[string]*caller, from, to place, fill func(string) string) {
	t.Helper()
	for address, c := range callers {
		c.absent.Store(!slices.Contains(from.served, address) || !slices.Contains(to.served, address))
	}
	if err := d.Configure(fill(to.groups)); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Upgrade(t.Context()); err != nil {
		t.Fatalf("upgrade to\n%s%v", fill(to.groups), err)
	}
	for address, c := range callers {
		c.absent.Store(!slices.Contains(to.served, address))
	}
}

// awaitRefusal waits until nobody is at an address. The old generation answers those that have connected already, and nobody else
// can have its port until it has ended. To try to listen there would take connections of the callers.
func awaitRefusal(t *testing.T, d *daemon.Daemon, to load.Target) {
	t.Helper()
	daemontest.Await(t, fmt.Sprintf("end of %v", to), func() bool {
		conn, err := net.DialTimeout(to.Network, to.Address, 10*time.Second)
		if err == nil {
			_ = getOnce(conn)
		}
		return err != nil
	})
	if err := d.WaitAlive(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
}

// leaveSocketFile makes the file of a socket that nobody listens on, as a daemon leaves
// it that was killed.
func leaveSocketFile(t *testing.T, path string) {
	t.Helper()
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = ln.Close()
}

// TestAddressThatCannotBeHad upgrades to addresses that are not to be had. The daemon
// says why, leaves alone what is there, and serves on.
func TestAddressThatCannotBeHad(t *testing.T) {
	require.Linux(t)
	other := daemontest.Start(t, "[web]\nmode http\nlisten unix:web.sock\n[plain]\nmode http\nlisten 127.0.0.1:0\n")
	socket, port := daemontest.Target(t, other, "web").Address, daemontest.Target(t, other, "plain").Address
	name := "@" + other.Dir
	ln, err := net.Listen("unix", name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()

	d := daemontest.Start(t, daemontest.OnlyWeb)
	file := filepath.Join(d.Dir, "file")
	long := filepath.Join(d.Dir, strings.Repeat("x", 107-len(d.Dir)))
	c := call(t, daemontest.Target(t, d, "web"), false)
	defer c.stop()
	for _, tt := range []struct{ name, listen, want string }{
		{"a live daemon's socket", socket, `listen: .*\[plain\]: listen unix ` + socket + `: another process answers on it: address already in use`},
		{"a live daemon's port", port, `listen: .*\[plain\]: listen tcp ` + port + `: bind: address already in use`},
		{"an abstract name that is taken", name, `listen: .*\[plain\]: listen unix ` + name + `: bind: address already in use`},
		{"a file that is no socket", file, `listen: .*\[plain\]: listen unix ` + file + `: a file is there that is no socket \(-rw-r--r--\), and gozd does not remove it: address already in use`},
		{"a directory that is missing", d.Dir + "/no/x.sock", `listen: .*\[plain\]: listen unix .*/no/x\.sock: (bind|open .*/no/x\.sock): no such file or directory`},
		{"another machine's address", "192.0.2.1:8080", `listen: .*\[plain\]: listen tcp 192\.0\.2\.1:8080: bind: cannot assign requested address`},
		{"a path that is too long", long, `configuration: .*\[plain\]: .*: a socket's path has at most 107 bytes on linux, this one has 108`},
	} {
		if err := os.WriteFile(file, []byte("mine"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := d.Configure(daemontest.OnlyWeb + "[line]\nmode tcp\nlisten unix:new.sock\n" + plain(tt.listen)); err != nil {
			t.Fatal(err)
		}
		_, err := d.Upgrade(t.Context())
		if want := regexp.MustCompile(`^upgrade failed at ` + tt.want + `$`); err == nil || !want.MatchString(err.Error()) {
			t.Errorf("%s: upgrade = %v, want %v", tt.name, err, want)
		}
		if content, err := os.ReadFile(file); err != nil || string(content) != "mine" {
			t.Errorf("%s: the file that was there is %q, %v", tt.name, content, err)
		}
		if _, err := os.Lstat(filepath.Join(d.Dir, "new.sock")); err == nil {
			t.Errorf("%s: the socket of another new group is left", tt.name)
		}
		c.await(t, 1)
	}
	_ = os.Remove(file)
	for _, group := range []string{"web", "plain"} { // it has been probed, and serves on
		to := daemontest.Target(t, other, group)
		conn, err := net.Dial(to.Network, to.Address)
		if err != nil {
			t.Fatal(err)
		}
		if err := getOnce(conn); err != nil {
			t.Errorf("the other daemon: %v", err)
		}
	}
	leaveSocketFile(t, filepath.Join(d.Dir, "plain.sock"))
	if err := d.Configure(daemontest.OnlyWeb + plain("unix:plain.sock")); err != nil {
		t.Fatal(err)
	}
	daemontest.Upgrade(t, d)
	later := call(t, daemontest.Target(t, d, "plain"), false)
	defer later.stop()
	later.await(t, 10)
}

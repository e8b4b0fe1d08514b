package operating

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loadtest"
)

// fewFiles is a limit that a daemon reaches with some forty connections.
const fewFiles = 60

func maxFiles(n int) string { return fmt.Sprintf("max_files %d", n) }

// TestSuccessorHasNoRoomForAll upgrades to a configuration whose max_files is too
// low for all idle connections. Those that do not fit stay where they are, and are
// served there, until a successor has room.
func TestSuccessorHasNoRoomForAll(t *testing.T) {
	const web, clients = "[web]\nmode http\nlisten 127.0.0.1:0\n", 100
	d := daemontest.Start(t, web)
	to := daemontest.Target(t, d, "web")
	var held []*loadtest.KeepAlive
	for range clients {
		k := loadtest.DialKeepAlive(t, to)
		k.Get()
		held = append(held, k)
	}
	if err := d.Configure(web, maxFiles(fewFiles)); err != nil {
		t.Fatal(err)
	}
	up, err := d.Upgrade(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	askAll(held)
	by := askAll(held)
	if len(by) != 2 || len(by[up.OldPID]) == 0 || len(by[up.Served.PID]) == 0 {
		t.Fatalf("%d processes serve, want the old and the new one", len(by))
	}
	t.Logf("%d of %d have moved", len(by[up.Served.PID]), clients)

	here, gone := by[up.OldPID][:5], append(by[up.OldPID][5:], by[up.Served.PID]...)
	for _, k := range gone {
		k.Close()
	}
	if err := d.Configure(web); err != nil {
		t.Fatal(err)
	}
	if up, err = d.Upgrade(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Each moves after an answer, unless its next request has begun to arrive by then.
	for deadline := time.Now().Add(30 * time.Second); len(askAll(here)[up.Served.PID]) < len(here); {
		if time.Now().After(deadline) {
			t.Fatal("the connections that had no room do not move when there is some")
		}
	}
	if err := d.WaitAlive(t.Context(), 1); err != nil {
		t.Error(err)
	}
}

// askAll does a request on every connection, and returns them by the PIDs that have
// answered.
func askAll(held []*loadtest.KeepAlive) map[int][]*loadtest.KeepAlive {
	by := make(map[int][]*loadtest.KeepAlive)
	for _, k := range held {
		pid := k.Get()
		by[pid] = append(by[pid], k)
	}
	return by
}

// crowd is more clients than a daemon has descriptors for, each on a connection of
// its own that it keeps.
type crowd struct {
	ctx    context.Context
	served chan load.Client // those that have had an answer
	failed chan error
	size   int
}

// gather has all clients come at once.
func gather(t *testing.T, n int, newClient func() (load.Client, error)) *crowd {
	t.Helper()
	c := &crowd{ctx: t.Context(), served: make(chan load.Client, n), failed: make(chan error, n), size: n}
	for range n {
		client, err := newClient()
		if err != nil {
			t.Fatal(err)
		}
		go c.ask(client)
	}
	return c
}

func (c *crowd) ask(client load.Client) {
	if _, err := client.Do(c.ctx); err != nil {
		c.failed <- err
		return
	}
	c.served <- client
}

// disperse has everyone ask once more and go, and so make room for the others, until
// all have been served.
func (c *crowd) disperse(t *testing.T) {
	t.Helper()
	for range c.size {
		select {
		case client := <-c.served:
			if _, err := client.Do(c.ctx); err != nil {
				t.Error(err)
			}
			_ = client.Close()
		case err := <-c.failed:
			t.Error(err)
		}
	}
}

// awaitFull waits until a process has all the descriptors that it may have.
func awaitFull(t *testing.T, pid int) {
	t.Helper()
	awaitDescriptors(t, pid, "all that it may have", func(n int) bool { return n >= fewFiles })
}

func awaitDescriptors(t *testing.T, pid int, what string, fits func(n int) bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		n := daemontest.Descriptors(t, pid)
		if fits(n) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %d has %d descriptors, want %s", pid, n, what)
		}
	}
}

// processorTime is what a process has used, user and system.
func processorTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(stat), ") ") // the name may have spaces
	f := strings.Fields(after)
	user, err1 := strconv.Atoi(f[11])
	system, err2 := strconv.Atoi(f[12])
	if err1 != nil || err2 != nil {
		t.Fatalf("%s: %v, %v", stat, err1, err2)
	}
	return time.Duration(user+system) * (time.Second / 100) // USER_HZ, the same on all of Linux
}

// TestServesOnWithoutDescriptors has more clients come than a daemon has descriptors
// for, in every mode. Those that it has accepted are served, without spinning; the
// others have their turn when the first ones go.
func TestServesOnWithoutDescriptors(t *testing.T) {
	for _, mode := range []struct {
		group, options string
		newClient      func(to load.Target) (load.Client, error)
	}{
		{"web", "mode http", func(to load.Target) (load.Client, error) {
			return load.NewKeepAlive(to, load.KeepAliveOptions{})
		}},
		{"secure", "mode https\nkey key.pem\ncert cert.pem", func(to load.Target) (load.Client, error) {
			return load.NewKeepAlive(to, load.KeepAliveOptions{})
		}},
		{"app", "mode fcgi", func(to load.Target) (load.Client, error) {
			return load.NewFastCGI(to, load.FastCGIOptions{KeepConn: true})
		}},
		{"line", "mode tcp", func(to load.Target) (load.Client, error) {
			return load.NewLines(to, load.LinesOptions{})
		}},
	} {
		t.Run(mode.group, func(t *testing.T) {
			d := daemontest.Start(t, "["+mode.group+"]\n"+mode.options+"\nlisten 127.0.0.1:0\n", maxFiles(fewFiles))
			s, err := d.State()
			if err != nil {
				t.Fatal(err)
			}
			to := daemontest.Target(t, d, mode.group)
			c := gather(t, 100, func() (load.Client, error) { return mode.newClient(to) })
			awaitFull(t, s.PID)
			wantNoSpin(t, s.PID)
			c.disperse(t)
			if len(d.Alive()) != 1 {
				t.Error("the daemon has ended")
			}
		})
	}
}

// wantNoSpin checks that a process that waits for descriptors does nothing else.
func wantNoSpin(t *testing.T, pid int) {
	t.Helper()
	const period = 400 * time.Millisecond
	before := processorTime(t, pid)
	time.Sleep(period) // not to wait for something, but to measure it
	if used := processorTime(t, pid) - before; used > period/2 {
		t.Errorf("the daemon has used %v of %v while it could not accept", used, period)
	}
}

// TestUpgradeWithoutDescriptors upgrades a daemon whose clients have taken all the
// descriptors that it leaves them, to a configuration that allows it more: nobody is lost, and those who
// have waited are served.
func TestUpgradeWithoutDescriptors(t *testing.T) {
	const web, clients = "[web]\nmode http\nlisten 127.0.0.1:0\n", 100
	for range 5 {
		d := daemontest.Start(t, web, maxFiles(fewFiles))
		s, err := d.State()
		if err != nil {
			t.Fatal(err)
		}
		to := daemontest.Target(t, d, "web")
		c := gather(t, clients, func() (load.Client, error) { return load.NewKeepAlive(to, load.KeepAliveOptions{}) })
		awaitFull(t, s.PID)

		// One that fails says why, although it has to write that down.
		daemontest.Fault("exit")(t, d)
		if _, err := d.Upgrade(t.Context()); err == nil || !strings.Contains(err.Error(), "exit status") {
			t.Errorf("upgrade to a program that exits: %v, want its status", err)
		}
		awaitFull(t, s.PID)

		if err := daemon.Install(binaries.Mixed(t), d.Binary); err != nil {
			t.Fatal(err)
		}
		if err := d.Configure(web, maxFiles(4*clients)); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Upgrade(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range clients { // without anyone going
			select {
			case <-c.served:
			case err := <-c.failed:
				t.Error(err)
			}
		}
	}
}

// TestUpgradesFollowWithoutDescriptors has clients hold all the descriptors that a daemon leaves them, and more come, while it is upgraded and asked how it
// is, time and again: what it keeps for that comes to none of them, as they move.
func TestUpgradesFollowWithoutDescriptors(t *testing.T) {
	const clients, upgrades = 500, 6
	d := daemontest.Start(t, "[web]\nmode http\nlisten 127.0.0.1:0\n[plain]\nmode http\nlisten 127.0.0.1:0\n", maxFiles(300))
	to := daemontest.Target(t, d, "web")
	for range clients {
		dialing, cancel := context.WithTimeout(t.Context(), time.Second)
		c, err := new(net.Dialer).DialContext(dialing, to.Network, to.Address)
		cancel()
		if err != nil {
			break // the queue is full, too
		}
		defer c.Close()
	}
	s, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	awaitDescriptors(t, s.PID, "all that it may have", func(n int) bool { return n >= 300 })
	for i := range upgrades {
		asked := make(chan struct{})
		go func() {
			defer close(asked)
			for range 3 {
				_, _ = d.Status(t.Context()) // it may be that of a generation which ends
			}
		}()
		if _, err := d.Upgrade(t.Context()); err != nil {
			t.Fatalf("upgrade %d: %v", i+1, err)
		}
		<-asked
	}
}

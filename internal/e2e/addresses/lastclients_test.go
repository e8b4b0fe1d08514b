package addresses

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
)

// lastClients connect to an address without a pause until nobody is there any more. Who
// has connected must be answered.
type lastClients struct {
	to       load.Target
	answered atomic.Int64
	done     sync.WaitGroup
}

func startLastClients(t *testing.T, to load.Target) *lastClients {
	t.Helper()
	c := &lastClients{to: to}
	for range 4 {
		c.done.Go(func() {
			for {
				conn, err := net.DialTimeout(to.Network, to.Address, 500*time.Millisecond)
				if err != nil {
					return // nobody is there: that is for the caller to have brought about
				}
				if err := getOnce(conn); err != nil {
					t.Errorf("a client that had connected: %v", err)
					return
				}
				c.answered.Add(1)
			}
		})
	}
	return c
}

// getOnce makes one request, and closes the connection.
func getOnce(conn net.Conn) error {
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s", resp.Status)
	}
	return nil
}

// await waits until n more clients have been answered.
func (c *lastClients) await(t *testing.T, n int64) {
	t.Helper()
	n += c.answered.Load()
	for deadline := time.Now().Add(30 * time.Second); c.answered.Load() < n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d clients were answered in 30 s, want %d", c.answered.Load(), n)
		}
	}
}

const webOn = "[web]\nmode http\nlisten %s\n"

func startWeb(t *testing.T, listen string) (*daemon.Daemon, *lastClients) {
	t.Helper()
	d := daemontest.Start(t, fmt.Sprintf(webOn, listen)+daemontest.Asking)
	return d, startLastClients(t, daemontest.Target(t, d, "web"))
}

// TestStopAnswersEveryConnection stops a daemon to which clients connect: those in
// the queue of its listening socket are answered too.
func TestStopAnswersEveryConnection(t *testing.T) {
	for _, listen := range []string{"127.0.0.1:0", "unix:web.sock", "@" + t.TempDir()} {
		t.Run(listen, func(t *testing.T) {
			for range 3 {
				d, clients := startWeb(t, listen)
				clients.await(t, 100)
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				if err := d.Stop(ctx); err != nil {
					t.Error(err)
				}
				clients.done.Wait()
			}
		})
	}
}

// TestMovedGroupAnswersEveryConnection gives a group another address at an upgrade: who has
// connected to the old one is answered, nobody connects there afterwards, and the
// new one is served.
func TestMovedGroupAnswersEveryConnection(t *testing.T) {
	for _, change := range [][2]string{
		{"127.0.0.1:0", "unix:new.sock"},
		{"unix:old.sock", "unix:new.sock"},
		{"unix:old.sock", "127.0.0.1:0"},
		{"@" + t.TempDir(), "127.0.0.1:0"},
	} {
		t.Run(strings.Join(change[:], " to "), func(t *testing.T) {
			d, clients := startWeb(t, change[0])
			clients.await(t, 100)
			if err := d.Configure(fmt.Sprintf(webOn, change[1]) + daemontest.Asking); err != nil {
				t.Fatal(err)
			}
			daemontest.Upgrade(t, d)
			clients.done.Wait()
			if conn, err := net.Dial(clients.to.Network, clients.to.Address); err == nil {
				_ = conn.Close()
				t.Error("the old address is still served")
			}
			if files, _ := filepath.Glob(filepath.Join(d.Dir, "old.sock")); len(files) > 0 {
				t.Error("the old socket's file is still there")
			}
			to := daemontest.Target(t, d, "web")
			conn, err := net.Dial(to.Network, to.Address)
			if err != nil {
				t.Fatal(err)
			}
			if err := getOnce(conn); err != nil {
				t.Errorf("the new address: %v", err)
			}
		})
	}
}

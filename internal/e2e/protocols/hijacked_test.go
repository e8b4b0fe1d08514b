package protocols

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
)

// dialHijacked returns a connection that a handler has taken over, and that wants to
// be told when it should go.
func dialHijacked(t *testing.T, to load.Target) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial(to.Network, to.Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	fmt.Fprint(conn, "GET /hijack?goodbye=1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v, %v, want status 101", resp, err)
	}
	return conn, r
}

// TestHijackedConnectionsAreToldToGo has clients on hijacked connections, as those of
// WebSockets, when the daemon is upgraded. The program tells them, spread over the
// group's time; each says another line, and goes.
func TestHijackedConnectionsAreToldToGo(t *testing.T) {
	const clients, spread = 10, time.Second
	d := daemontest.Start(t, fmt.Sprintf("[web]\nmode http\nlisten 127.0.0.1:0\nspread %v\n", spread))
	to := daemontest.Target(t, d, "web")
	told := make(chan time.Time, clients)
	for range clients {
		conn, r := dialHijacked(t, to)
		go func() {
			line, err := r.ReadString('\n')
			told <- time.Now()
			if line != "goodbye from generation 1\n" {
				t.Errorf("told %q, %v", line, err)
			}
			fmt.Fprintln(conn, "one more")
			if line, err = r.ReadString('\n'); line != "one more\n" {
				t.Errorf("after the goodbye: %q, %v, want the line back", line, err)
			}
			_ = conn.Close()
		}()
	}
	daemontest.Upgrade(t, d)
	first := <-told
	last := first
	for range clients - 1 {
		last = <-told
	}
	// The last one's share is a tenth before the end. The first one may be told late.
	if took := last.Sub(first); took < spread/2 {
		t.Errorf("all are told within %v, want it to be spread over %v", took, spread)
	}
	if err := d.WaitAlive(t.Context(), 1); err != nil {
		t.Error(err)
	}
}

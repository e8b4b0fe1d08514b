//go:build unix

package operating

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
)

// holdBody has a request begin whose body never ends: the generation that serves has read the beginning, and waits for the rest.
func holdBody(t *testing.T, d *daemon.Daemon) {
	t.Helper()
	to := daemontest.Target(t, d, "web")
	conn, err := net.Dial(to.Network, to.Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprint(conn, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || !strings.Contains(line, fmt.Sprint(http.StatusContinue)) {
		t.Fatalf("the answer is %q, %v", line, err)
	}
	if _, err := fmt.Fprint(conn, "abc"); err != nil {
		t.Fatal(err)
	}
}

// TestStopAwaitsAllGenerations has a client hold an older generation: -s stop returns when that has ended too, and the next daemon is alone.
func TestStopAwaitsAllGenerations(t *testing.T) {
	d := daemontest.Start(t, "[web]\nmode http\nlisten 127.0.0.1:0\nstop_timeout 1s\n")
	holdBody(t, d)
	daemontest.Upgrade(t, d)
	holdBody(t, d)
	daemontest.Upgrade(t, d)
	if alive := d.Alive(); len(alive) != 3 {
		t.Fatalf("%d generations live, want 3", len(alive))
	}
	output, err := d.Command(t.Context(), "-s", "stop").CombinedOutput()
	if alive := d.Alive(); err != nil || len(alive) != 0 {
		t.Errorf("-s stop: %v, %s; %d generations live", err, output, len(alive))
	}
}

// TestStopNamesWhoIsLeft has an older generation that cannot end: the error names it, once the time of a stop is over.
func TestStopNamesWhoIsLeft(t *testing.T) {
	d := daemontest.Start(t, "[web]\nmode http\nlisten 127.0.0.1:0\nstop_timeout 100ms\n")
	old, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	holdBody(t, d)
	daemontest.Upgrade(t, d)
	if err := daemon.Freeze(old.PID); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	output, err := d.Command(t.Context(), "-s", "stop").CombinedOutput()
	took := time.Since(began)
	signal(t, old, syscall.SIGCONT)
	want := fmt.Sprintf("it serves no longer, and these have not ended: generation 1 (pid %d): ", old.PID)
	if err == nil || !strings.Contains(string(output), want) || strings.Contains(string(output), "done") {
		t.Errorf("-s stop: %v, %s, want %s", err, output, want)
	}
	if most := 30 * time.Second; took > most {
		t.Errorf("it took %v, want %v at most", took, most)
	}
	if _, err := process.Find(d.PIDFile); err == nil {
		t.Error("a generation serves")
	}
}

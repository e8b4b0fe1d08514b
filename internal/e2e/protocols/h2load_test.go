package protocols

import (
	"bytes"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// h2load is a running benchmark of nghttp2's.
type h2load struct {
	t      *testing.T
	log    string // has a line for every answer
	output bytes.Buffer
	ended  chan struct{} // closed when it has ended, with err
	err    error
}

// runH2load starts n requests of that many clients, each on one connection.
func runH2load(t *testing.T, n, clients int, args ...string) *h2load {
	t.Helper()
	h := &h2load{t: t, log: filepath.Join(t.TempDir(), "log"), ended: make(chan struct{})}
	args = append([]string{"-n", strconv.Itoa(n), "-c", strconv.Itoa(clients), "--log-file", h.log}, args...)
	cmd := exec.CommandContext(t.Context(), require.Tool(t, "h2load", "package nghttp2-client"), args...)
	cmd.Stdout, cmd.Stderr = &h.output, &h.output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(h.ended)
		h.err = cmd.Wait()
	}()
	return h
}

// awaitAnswers waits for some more answers, and reports whether there were so many
// before the end.
func (h *h2load) awaitAnswers() bool {
	h.t.Helper()
	want := h.logged() + 2000 // bytes: some eighty lines
	for deadline := time.Now().Add(30 * time.Second); h.logged() < want; time.Sleep(time.Millisecond) {
		select {
		case <-h.ended:
			return false
		default:
		}
		if time.Now().After(deadline) {
			h.t.Fatalf("h2load has hardly any answer in 30 s: %s", h.output.String())
		}
	}
	return true
}

func (h *h2load) logged() int64 {
	info, err := os.Stat(h.log)
	if err != nil {
		return 0 // it is not there yet
	}
	return info.Size()
}

// summary waits for the end and returns the numbers.
func (h *h2load) summary() map[string]int {
	h.t.Helper()
	<-h.ended
	if h.err != nil {
		h.t.Fatalf("h2load: %v: %s", h.err, h.output.String())
	}
	return h2loadNumbers(h.output.String())
}

// h2loadNumbers are those of the line "requests: 5 total, 5 started, ..." and, as "2xx", those of the answers that were good.
func h2loadNumbers(output string) map[string]int {
	found := make(map[string]int)
	for line := range strings.Lines(output) {
		if strings.HasPrefix(line, "requests:") || strings.HasPrefix(line, "status codes:") {
			for _, m := range regexp.MustCompile(`(\d+) (\w+)`).FindAllStringSubmatch(line, -1) {
				found[m[2]], _ = strconv.Atoi(m[1])
			}
		}
	}
	return found
}

// h2loadAllGood are the numbers of h2load where all requests were answered well.
func h2loadAllGood(requests int) map[string]int {
	return map[string]int{
		"total": requests, "started": requests, "done": requests, "succeeded": requests, "2xx": requests,
		"failed": 0, "errored": 0, "timeout": 0, "3xx": 0, "4xx": 0, "5xx": 0,
	}
}

// clientPorts returns the ports from which connections to an address are open.
func clientPorts(t *testing.T, to load.Target) map[string]bool {
	t.Helper()
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		require.Missing(t, fmt.Sprintf("connections are listed in /proc: %v", err))
	}
	const established = "01"
	server := fmt.Sprintf(":%04X", netip.MustParseAddrPort(to.Address).Port())
	ports := make(map[string]bool)
	for line := range strings.Lines(string(table)) { // "sl: local remote state ..."
		f := strings.Fields(line)
		if strings.HasSuffix(f[1], server) && f[3] == established {
			ports[f[2]] = true
		}
	}
	return ports
}

// upgradeUnderH2load runs h2load with HTTP/1.1, as often as ten upgrades take, and
// calls look before and after each upgrade. No answer is missing or bad.
func upgradeUnderH2load(t *testing.T, d *daemon.Daemon, url string, clients int, look func(run int)) {
	t.Helper()
	const requests, upgrades = 10_000, 10
	want := h2loadAllGood(requests)
	done := 0
	for run := 1; done < upgrades; run++ {
		h := runH2load(t, requests, clients, "--h1", url)
		for h.awaitAnswers() {
			look(run)
			daemontest.Upgrade(t, d)
			look(run)
			done++
		}
		if got := h.summary(); !maps.Equal(got, want) {
			t.Errorf("h2load counts %v, want %v", got, want)
		}
	}
}

// TestH2loadKeepsItsConnections has h2load use one connection for each client,
// through all upgrades.
func TestH2loadKeepsItsConnections(t *testing.T) {
	const clients = 8
	d := daemontest.Start(t, "[web]\nmode http\nlisten 127.0.0.1:0\n")
	to := daemontest.Target(t, d, "web")
	seen := make(map[int]map[string]bool) // by run
	upgradeUnderH2load(t, d, "http://"+to.Address+"/", clients, func(run int) {
		if seen[run] == nil {
			seen[run] = make(map[string]bool)
		}
		maps.Copy(seen[run], clientPorts(t, to))
	})
	for _, ports := range seen {
		if len(ports) > clients {
			t.Errorf("%d clients had %d connections", clients, len(ports))
		}
	}
}

// TestH2loadReconnects has h2load use TLS: it opens another connection when an
// answer says that this one ends. An end that no answer has announced would fail
// what it has begun.
func TestH2loadReconnects(t *testing.T) {
	d := daemontest.Start(t, "[secure]\nmode https\nlisten 127.0.0.1:0\nkey key.pem\ncert cert.pem\n")
	upgradeUnderH2load(t, d, "https://"+daemontest.Target(t, d, "secure").Address+"/", 8, func(int) {})
}

// TestH2loadIsSentAway upgrades under clients of HTTP/2. h2load opens no other
// connection when it is told to go away, and counts as failed what it has not sent by
// then: most of it never begun, some begun in the moment before. Of these it says that they are done where a stream was
// opened, and nothing where not even that came about, as for a client that has only just connected. What it has sent is
// answered: the daemon logs as many requests as h2load has good answers.
func TestH2loadIsSentAway(t *testing.T) {
	const requests, clients, streams = 1_000_000, 4, 10
	t.Setenv("GODEBUG", "http2debug=2") // for the daemon: a line for every frame
	d := daemontest.Start(t, "[secure]\nmode https\nlisten 127.0.0.1:0\nkey key.pem\ncert cert.pem\n")
	url := "https://" + daemontest.Target(t, d, "secure").Address + "/"
	answered := 0
	for range 10 {
		h := runH2load(t, requests, clients, "-m", strconv.Itoa(streams), url)
		h.awaitAnswers()
		daemontest.Upgrade(t, d)
		got := h.summary()
		begun, done, good := got["started"], got["done"], got["2xx"]
		want := map[string]int{
			"total": requests, "started": begun, "done": done, "succeeded": good, "2xx": good,
			"failed": requests - good, "errored": requests - good, "timeout": 0, "3xx": 0, "4xx": 0, "5xx": 0,
		}
		if good == 0 || begun-good > clients*streams || done < good || done > begun || !maps.Equal(got, want) {
			t.Errorf("h2load counts %v, want %v", got, want)
		}
		answered += good
	}
	if err := d.WaitAlive(t.Context(), 1); err != nil { // then all is logged
		t.Fatal(err)
	}
	if n := len(regexp.MustCompile(`Framer \w+: read HEADERS`).FindAllString(d.LogText(), -1)); n != answered {
		t.Errorf("the daemon has read %d requests, h2load has %d answers", n, answered)
	}
}

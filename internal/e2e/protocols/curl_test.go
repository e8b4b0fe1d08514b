package protocols

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// TestHTTP2ByCurl has curl, with an HTTP/2 of its own, send request after request
// on one connection through several upgrades.
func TestHTTP2ByCurl(t *testing.T) {
	curl := require.Tool(t, "curl", "package curl")
	if features, err := exec.Command(curl, "--version").Output(); err != nil || !bytes.Contains(features, []byte("HTTP2")) {
		require.Missing(t, "curl is built without HTTP/2")
	}
	d := daemontest.Start(t, "[secure]\nmode https\nlisten 127.0.0.1:0\nkey key.pem\ncert cert.pem\n")
	url := "https://" + daemontest.Target(t, d, "secure").Address + "/echo"

	const perRun = 200 // requests of one process
	var runs, stop atomic.Int32
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for stop.Load() == 0 {
				runCurl(t, curl, url, perRun)
				runs.Add(1)
			}
		})
	}
	for range 8 {
		before := runs.Load()
		for runs.Load() == before && !t.Failed() {
			daemontest.Upgrade(t, d) // while they run
		}
	}
	stop.Store(1)
	wg.Wait()
	s, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d requests, %d upgrades", int(runs.Load())*perRun, s.Generation-1)
}

// runCurl has one curl do n requests, and checks each.
func runCurl(t *testing.T, curl, url string, n int) {
	t.Helper()
	body := strings.Repeat("x", 500)
	cmd := exec.CommandContext(t.Context(), curl, "--http2", "--insecure", "--silent", "--show-error", "--no-progress-meter", "--fail",
		"--data", body, "--write-out", "\n%{http_version} %{http_code} %{num_connects}\n",
		fmt.Sprintf("%s?[1-%d]", url, n))
	var failed strings.Builder
	cmd.Stderr = &failed
	output, err := cmd.Output()
	if err != nil || failed.Len() > 0 {
		t.Errorf("curl: %v: %s", err, failed.String())
		return
	}
	if got := strings.Count(string(output), body+"\n2 200 "); got != n {
		t.Errorf("curl has %d good answers over HTTP/2, want %d", got, n)
	}
}

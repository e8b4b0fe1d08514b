//go:build unix

package operating

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
)

// TestTotalsGoOn counts connections over upgrades and a crash: whoever asks the generation that serves, and no other, misses none.
func TestTotalsGoOn(t *testing.T) {
	d := daemontest.Start(t, "[web]\nmode http\nlisten 127.0.0.1:0\n")
	address := daemontest.Target(t, d, "web").Address
	asked := 0
	ask := func() {
		t.Helper()
		for range 5 {
			c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}
			resp, err := c.Get("http://" + address + "/")
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			asked++
		}
	}
	want := func(generation int) {
		t.Helper()
		text := metricsOf(t, d)
		for _, line := range []string{
			fmt.Sprintf(`gozd_accepted_total{group="web"} %d`, asked),
			fmt.Sprintf(`gozd_state{generation="%d",state="serving"} 1`, generation),
		} {
			if !strings.Contains(text, line+"\n") {
				t.Errorf("no line %s in\n%s", line, text)
			}
		}
	}
	ask()
	want(1)
	for n := range 2 {
		upgradeAtOnce(t, d)
		ask()
		want(n + 2)
	}
	if text := metricsOf(t, d); !strings.Contains(text, `gozd_state{generation="2",state="draining"} 1`) {
		t.Errorf("the generation that drains is missing in\n%s", text)
	}
	daemontest.SignalServing(t, d, syscall.SIGKILL)
	daemontest.Await(t, "generation 2 to serve again", func() bool {
		s, err := d.State()
		return err == nil && s.Generation == 2
	})
	ask()
	want(2)
	upgradeAtOnce(t, d)
	ask()
	want(4)
}

func upgradeAtOnce(t *testing.T, d *daemon.Daemon) {
	t.Helper()
	c, err := client.Dial(t.Context(), d.PIDFile)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Upgrade(t.Context(), client.UpgradeOptions{NoDrain: true}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := d.State(); err != nil { // which knows of the process from then on
		t.Fatal(err)
	}
}

// metricsOf asks as docs/control.md says.
func metricsOf(t *testing.T, d *daemon.Daemon) string {
	t.Helper()
	s, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", protocol.SocketPath(d.PIDFile, s.PID))
	}}
	resp, err := (&http.Client{Transport: transport, Timeout: 30 * time.Second}).Get("http://gozd" + protocol.PathMetrics)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

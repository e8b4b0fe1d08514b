package programs

import (
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
)

// A program may take a command off os.Args before it calls Daemonize. Whatever is started in its place has the whole
// command line: the process that detaches, and every successor.
func TestCommandIsKept(t *testing.T) {
	d := daemontest.Prepare(t, binaries.OwnCommands(t), daemontest.OnlyWeb)
	cmd := d.Command(t.Context())
	cmd.Args = slices.Insert(cmd.Args, 1, "serve")
	daemontest.Begin(t, d, cmd, false)
	for _, want := range []string{"1 serve\n", "2 serve\n", "3 serve\n"} {
		if got := ask(t, d); got != want {
			t.Fatalf("answered by %q, want %q", got, want)
		}
		if want != "3 serve\n" {
			daemontest.Upgrade(t, d)
		}
	}
}

// ask asks the group web over a connection of its own.
func ask(t *testing.T, d *daemon.Daemon) string {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}
	resp, err := client.Get("http://" + daemontest.Target(t, d, "web").Address + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

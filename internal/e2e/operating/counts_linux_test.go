package operating

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
)

func startCounted(t *testing.T) (d *daemon.Daemon, url string) {
	t.Helper()
	d = daemontest.Prepare(t, binaries.Counted(t), daemontest.OnlyWeb)
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d, "http://" + daemontest.Target(t, d, "web").Address
}

// get answers what a client gets on a new connection.
func get(url string) (string, error) {
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}
	resp, err := c.Get(url)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, text)
	}
	return string(text), err
}

// scrape returns what the program has counted, as Prometheus would see it.
func scrape(url string) (requests int, err error) {
	text, err := get(url + "/metrics")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(text) {
		if n, _ := fmt.Sscanf(line, `requests_total{path="/"} %d`, &requests); n == 1 {
			return requests, nil
		}
	}
	return 0, fmt.Errorf("no requests_total in\n%s", text)
}

// TestCountsGoOn has clients ask, slowly too, over upgrades, while somebody scrapes: the number never becomes smaller, and in the end it is that of the
// clients.
func TestCountsGoOn(t *testing.T) {
	d, url := startCounted(t)
	var clients sync.WaitGroup
	var over atomic.Bool
	var answered atomic.Int64
	for i := range 4 {
		clients.Go(func() {
			for !over.Load() {
				if _, err := get(fmt.Sprintf("%s/?wait=%d", url, i*40)); err != nil {
					t.Error(err)
					return
				}
				answered.Add(1)
			}
		})
	}
	scraped := make(chan struct{})
	go func() {
		defer close(scraped)
		for last := 0; !over.Load(); {
			n, err := scrape(url)
			if err != nil || n < last {
				t.Errorf("%d after %d, %v", n, last, err)
				return
			}
			last = n
		}
	}()
	for range 10 {
		upgradeAtOnce(t, d)
	}
	over.Store(true)
	clients.Wait()
	<-scraped
	for _, alive := range []string{"several generations live", "one lives"} {
		if n, err := scrape(url); err != nil || int64(n) != answered.Load() {
			t.Errorf("when %s: %d of %d requests, %v", alive, n, answered.Load(), err)
		}
		if err := daemontest.WaitAlive(t, d, 1, 30*time.Second); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCountsOfOneThatDies: what a process has said before it is killed is not lost, nor what has come to others.
func TestCountsOfOneThatDies(t *testing.T) {
	d, url := startCounted(t)
	for range 3 {
		if _, err := get(url); err != nil {
			t.Fatal(err)
		}
	}
	before, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	upgradeAtOnce(t, d)
	want := func(what string) {
		t.Helper()
		if n, err := scrape(url); err != nil || n != 3 {
			t.Errorf("%s: %d, %v, want 3", what, n, err)
		}
	}
	want("with the parent")
	if err := syscall.Kill(before.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := daemontest.WaitAlive(t, d, 1, 30*time.Second); err != nil {
		t.Fatal(err)
	}
	want("when it was killed")
	upgradeAtOnce(t, d)
	want("in the next generation, which has never asked it")
}

// TestCountsAfterARollback: the number of the generation that is rolled back is given to another one, whose counts are its own.
func TestCountsAfterARollback(t *testing.T) {
	d := daemontest.Prepare(t, binaries.Counted(t), daemontest.OnlyWeb, "probation 1s")
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	url := "http://" + daemontest.Target(t, d, "web").Address
	asked := 0
	ask := func(what string, n int) {
		t.Helper()
		for range n {
			if _, err := get(url); err != nil {
				t.Fatal(err)
			}
			asked++
		}
		if n, err := scrape(url); err != nil || n != asked {
			t.Errorf("%s: %d, %v, want %d", what, n, err, asked)
		}
	}
	ask("at first", 3)
	_, outcome := daemontest.BeginTrial(t, d)
	if _, err := d.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-outcome; err == nil {
		t.Error("an upgrade that was rolled back has succeeded")
	}
	ask("after the rollback", 1)
	for _, what := range []string{"in the second one of that number", "and the next"} {
		upgradeAtOnce(t, d)
		ask(what, 5)
	}
}

// TestCountsThatFail: a sum without a generation would look like a restart, so there is none, and the daemon goes on.
func TestCountsThatFail(t *testing.T) {
	for how, reason := range map[string]string{
		"/panic": "broken metrics",
		"/hang":  "has not said what it counts within 2s",
		"/huge":  "more than 16777216 bytes",
	} {
		t.Run(how[1:], func(t *testing.T) {
			t.Parallel()
			d, url := startCounted(t)
			if _, err := get(url + how); err != nil {
				t.Fatal(err)
			}
			if _, err := scrape(url); err == nil || !strings.Contains(err.Error(), reason) {
				t.Errorf("asked itself: %v, want %q", err, reason)
			}
			upgradeAtOnce(t, d)
			if _, err := scrape(url); err == nil || !strings.Contains(err.Error(), "503") {
				t.Errorf("with a generation whose metrics fail: %v, want status 503", err)
			}
			if _, err := get(url); err != nil {
				t.Error(err)
			}
			if err := daemontest.WaitAlive(t, d, 1, 30*time.Second); err != nil {
				t.Fatal(err)
			}
			if n, err := scrape(url); err != nil || n != 1 {
				t.Errorf("when it has ended: %d, %v", n, err)
			}
			daemontest.AwaitLog(t, d, "what the program has counted ends with this generation")
		})
	}
}

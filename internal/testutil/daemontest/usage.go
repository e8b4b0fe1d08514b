package daemontest

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
)

// Usage is what a generation holds when it is idle.
type Usage struct{ Descriptors, Goroutines int }

// Within reports whether u is not more than a limit.
func (u Usage) Within(limit Usage) bool {
	return u.Descriptors <= limit.Descriptors && u.Goroutines <= limit.Goroutines
}

// Measure asks the serving generation over a connection of its own.
func Measure(t *testing.T, d *daemon.Daemon) Usage {
	t.Helper()
	s, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	to := Target(t, d, "plain")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}
	resp, err := client.Get("http://" + to.Address + "/goroutines")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	return Usage{Descriptors: Descriptors(t, s.PID), Goroutines: n}
}

// Descriptors counts a process's open files.
func Descriptors(t *testing.T, pid int) int {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Skipf("descriptors are counted in /proc: %v", err)
	}
	return len(entries)
}

// WantNoMore waits until the last generation holds no more than the first did.
// Its older generations must be gone: a child keeps a pipe to each parent.
func WantNoMore(t *testing.T, d *daemon.Daemon, first Usage) {
	t.Helper()
	if err := d.WaitAlive(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(30 * time.Second)
	for {
		last := Measure(t, d)
		if last.Within(first) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the last generation holds %+v, the first held %+v", last, first)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

package trust

import (
	"os"
	"strconv"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
)

// patience bounds every wait for something that ought to happen.
const patience = 30 * time.Second

// The users. Root is the third.
const (
	nobody   = 65534 // the daemon's
	stranger = 54321 // a local user who has nothing to do with the daemon
)

func TestMain(m *testing.M) { os.Exit(daemontest.RunLong(m)) }

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// await waits until what is asked for is so.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after %v: not %s", patience, what)
		}
	}
}

func itoa(n int) string { return strconv.Itoa(n) }

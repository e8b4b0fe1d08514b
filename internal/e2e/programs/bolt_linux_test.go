package programs

import (
	"net/http"
	"syscall"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
)

// TestBoltFileComesBack kills a successor that has the file: the generation before it counts on.
func TestBoltFileComesBack(t *testing.T) {
	d := startBolt(t)
	to := daemontest.Target(t, d, "web")
	for want := 1; want < 5; want += 2 {
		c := &counter{to: to}
		if n, generation, err := c.do(http.MethodPost, nil); err != nil || n != want || generation != 1 {
			t.Fatalf("count %d, generation %d, %v, want %d by generation 1", n, generation, err, want)
		}
		daemontest.Upgrade(t, d)
		if n, generation, err := c.do(http.MethodPost, nil); err != nil || n != want+1 || generation == 1 {
			t.Fatalf("count %d, generation %d, %v, want %d by the successor", n, generation, err, want+1)
		}
		c.close()
		strike(t, d, syscall.SIGKILL)
		awaitServing(t, d, 1)
	}
}

// TestBoltCountsAtAStop has a request come in when the stop has begun.
func TestBoltCountsAtAStop(t *testing.T) {
	d := startBolt(t)
	c := &counter{to: daemontest.Target(t, d, "web")}
	defer c.close()
	if _, _, err := c.do(http.MethodPost, nil); err != nil { // it has the file
		t.Fatal(err)
	}
	n, _, err := c.do(http.MethodPost, func() {
		daemontest.SignalServing(t, d, syscall.SIGTERM)
		daemontest.AwaitLog(t, d, `msg="run of Only has returned" generation=1 `)
	})
	if err != nil || n != 2 {
		t.Errorf("count %d, %v, want 2", n, err)
	}
}

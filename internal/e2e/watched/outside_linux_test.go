package watched

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
)

// TestOutcomesFromOutside asks from another PID namespace, which sees no process of the daemon's: each outcome is told, and none of them
// waits for a process to appear.
func TestOutcomesFromOutside(t *testing.T) {
	c := containCommand(t, "mixed", []string{"GOZD_GOZD_PROBATION=20s"}, "-f", "-v")
	cl, err := client.Dial(t.Context(), c.PIDFile)
	if err != nil {
		t.Fatal(err)
	}
	probation, outcome := make(chan struct{}), make(chan error, 1)
	go func() {
		_, err := cl.Upgrade(t.Context(), client.UpgradeOptions{NoDrain: true}, func(e protocol.Event) {
			if e.Type == protocol.OnProbation {
				close(probation)
			}
		})
		outcome <- err
	}()
	select {
	case <-probation:
	case err := <-outcome:
		t.Fatalf("no probation: %v", err)
	}
	for _, command := range [][]string{{"rollback", c.PIDFile}, {"upgrade", "--dry-run", c.PIDFile}} {
		if text, err := exec.Command(binaries.Gozdctl(t), command...).CombinedOutput(); err != nil {
			t.Errorf("gozdctl %s: %v: %s", strings.Join(command, " "), err, text)
		}
	}
	if err := <-outcome; err == nil || !strings.Contains(err.Error(), "rolled back") {
		t.Errorf("the upgrade that was rolled back: %v", err)
	}
	plain := containCommand(t, "mixed", nil, "-f", "-v")
	if cl, err = client.Dial(t.Context(), plain.PIDFile); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if up, err := cl.Upgrade(t.Context(), client.UpgradeOptions{NoDrain: true}, nil); err != nil || up.Served.Generation != 2 {
		t.Errorf("Upgrade = %+v, %v after %v", up, err, time.Since(began))
	}
}

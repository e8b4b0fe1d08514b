//go:build unix

package faults

import (
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
)

// TestRollbackAtTheEndOfAProbation asks for one in the moment in which the probation is passed. Whoever asks is told what
// has happened: the generation before serves, or it does not.
func TestRollbackAtTheEndOfAProbation(t *testing.T) {
	d := daemontest.Start(t, probationGroups, "probation 100ms")
	for i := range 20 {
		before, err := d.State()
		if err != nil {
			t.Fatal(err)
		}
		probation, outcome := daemontest.BeginTrial(t, d)
		time.Sleep(time.Until(probation.Until.Add(time.Duration(i-10) * time.Millisecond))) // the moment itself
		_, said := d.Rollback(t.Context())
		failed := <-outcome
		after, err := d.State()
		if err != nil {
			t.Fatal(err)
		}
		if rolledBack := after.PID == before.PID; rolledBack != (said == nil) || rolledBack != (failed != nil) {
			t.Fatalf("the rollback says %v and the upgrade %v, and generation %d serves after %d", said, failed, after.Generation, before.Generation)
		}
	}
}

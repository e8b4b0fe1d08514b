package loadtest

import (
	"strings"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
)

// AwaitServed waits until a generation has answered every kind of client a number
// of times; those that are not told who answers, until they have been answered as often.
func AwaitServed(t *testing.T, rec *load.Recorder, generation int) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for _, k := range rec.Snapshot().Kinds {
		before := k.Served[0]
		for s := rec.Snapshot().Kind(k.Kind); s.Served[generation] < 5 && s.Served[0] < before+10; s = rec.Snapshot().Kind(k.Kind) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: fewer than 5 answers of generation %d in 30 s: %v", k.Kind, generation, rec.Snapshot())
			}
			time.Sleep(time.Millisecond)
		}
	}
}

// AwaitExchanges waits until every kind has had n more exchanges.
func AwaitExchanges(t *testing.T, rec *load.Recorder, n int) {
	t.Helper()
	before := rec.Snapshot()
	deadline := time.Now().Add(30 * time.Second)
	for _, k := range before.Kinds {
		for rec.Snapshot().Kind(k.Kind).Requests < k.Requests+n {
			if time.Now().After(deadline) {
				t.Fatalf("%s: fewer than %d exchanges in 30 s: %v", k.Kind, n, rec.Snapshot())
			}
			time.Sleep(time.Millisecond)
		}
	}
}

// WantNoneFailed checks that every exchange has been answered.
func WantNoneFailed(t *testing.T, rec *load.Recorder) {
	t.Helper()
	if rec.Failed() == 0 {
		return
	}
	var table strings.Builder
	_ = rec.WriteTable(&table)
	t.Errorf("%d exchanges failed\n%s", rec.Failed(), table.String())
}

// WantServed checks that every generation from first to last, and no other, has
// answered, and that every answer is accounted for.
func WantServed(t *testing.T, s load.Stats, first, last int) {
	t.Helper()
	sum := 0
	for g, n := range s.Served {
		if g < first || g > last {
			t.Errorf("%s: generation %d answered %d times; it was not there", s.Kind, g, n)
		}
		sum += n
	}
	for g := first; g <= last; g++ {
		if s.Served[g] == 0 {
			t.Errorf("%s: generation %d has answered nothing: %v", s.Kind, g, s.Served)
		}
	}
	if sum != s.Requests {
		t.Errorf("%s: %d answers to %d requests", s.Kind, sum, s.Requests)
	}
}

package httpx

import (
	"testing"
	"time"
)

// SetHoldLimit has new streams be held back for that long, for a test that is about what moves, not about when: a request can take a second on a
// machine that has more to do.
func SetHoldLimit(t *testing.T, limit time.Duration) {
	t.Helper()
	before := holdLimit
	holdLimit = limit
	t.Cleanup(func() { holdLimit = before })
}

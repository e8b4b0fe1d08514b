package loadtest

import (
	"os"
	"strconv"
	"testing"
	"time"
)

// StormRhythm is the time from one upgrade of a storm to the next. If one takes longer, the next follows at once.
const StormRhythm = 250 * time.Millisecond

// stormEnv is the variable that says how often a storm upgrades.
const stormEnv = "GOZD_STORM"

// stormDefault keeps ordinary runs of the tests short.
const stormDefault = 20

// StormLength is how often a storm upgrades.
func StormLength(t *testing.T) int {
	t.Helper()
	text := os.Getenv(stormEnv)
	if text == "" {
		return stormDefault
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("$%s is %q, want a number of upgrades", stormEnv, text)
	}
	return n
}

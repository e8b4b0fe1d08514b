package require

import (
	"testing"
	"time"
)

// NoError ends a test at an error.
func NoError(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// patience is how long a test waits for what takes a machine with time for it an instant.
const patience = 30 * time.Second

// Eventually waits until something holds that nobody reports, and ends the test where that takes longer than 30 s. what completes "not".
func Eventually(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatalf("after %v: not %s", patience, what)
		}
	}
}

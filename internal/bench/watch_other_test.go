//go:build unix && !linux

package bench

import (
	"testing"
	"time"
)

// watch returns a function that waits a moment, after which pidfile may have changed.
func watch(b *testing.B, pidfile string) (wait func()) {
	b.Helper()
	return func() { time.Sleep(100 * time.Microsecond) }
}

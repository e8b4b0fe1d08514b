//go:build unix

package handover

import "time"

// WaitForRests has the rest of a frame be awaited for that long.
func WaitForRests(d time.Duration) (restore func()) {
	before := restWait
	restWait = d
	return func() { restWait = before }
}

//go:build unix

package upgrade

import (
	"os"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fdpass"
)

// standbyPair makes the two ends of the channel between a generation and the one that stands by.
func standbyPair() (ours, theirs *os.File, err error) {
	return fdpass.Pair(unix.SOCK_STREAM, "standby")
}

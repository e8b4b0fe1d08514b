package process

import (
	"math"

	"golang.org/x/sys/unix"
)

// closeRangeOnExec does it for all descriptors from one on. Linux 5.11 and later can, and need no /proc for it.
func closeRangeOnExec(from uint) error {
	return unix.CloseRange(from, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
}

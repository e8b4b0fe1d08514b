//go:build unix

package process

import (
	"math"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxFiles is the limit of open descriptors.
func maxFiles() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return math.MaxInt32
	}
	return int(min(uint64(limit.Cur), math.MaxInt32)) //nolint:unconvert // its type is another on some systems
}

// duplicates makes n duplicates of f, or as many as it gets, closes them and
// returns how many it was.
func duplicates(f *os.File, n int) int {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0
	}
	var all []int
	_ = raw.Control(func(fd uintptr) {
		for len(all) < n {
			dup, err := unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
			if err != nil {
				return
			}
			all = append(all, dup)
		}
	})
	for _, dup := range all {
		_ = unix.Close(dup)
	}
	return len(all)
}

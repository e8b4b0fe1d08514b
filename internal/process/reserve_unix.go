//go:build unix

package process

import (
	"math"
	"os"
	"slices"
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

// maxNumber is the highest limit that highestAreFree believes in: a higher one, or none, is
// not what the kernel goes by (fs.nr_open, kern.maxfilesperproc).
const maxNumber = 1 << 20

// highestAreFree reports whether the n highest descriptors below the limit are closed, by one
// system call. They nearly always are, as the lowest free one is taken first.
func highestAreFree(n int) bool {
	limit := maxFiles()
	if n > limit || limit > maxNumber {
		return false
	}
	fds := make([]unix.PollFd, n)
	for i := range fds {
		fds[i].Fd = int32(limit - 1 - i)
	}
	if _, err := unix.Poll(fds, 0); err != nil {
		return false
	}
	return !slices.ContainsFunc(fds, func(p unix.PollFd) bool { return p.Revents&unix.POLLNVAL == 0 })
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

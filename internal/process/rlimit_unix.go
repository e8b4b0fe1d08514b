//go:build unix && !freebsd && !dragonfly

package process

import "syscall"

// openFilesLimit is the limit to set for n open files: the hard limit is raised
// where it is lower, which needs privileges, and never lowered, which could not
// be taken back.
func openFilesLimit(n uint64) (*syscall.Rlimit, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return nil, err
	}
	limit.Cur = n
	limit.Max = max(limit.Max, n)
	return &limit, nil
}

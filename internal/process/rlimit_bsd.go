//go:build freebsd || dragonfly

package process

import "syscall"

// openFilesLimit is the limit to set for n open files; here its type is signed.
func openFilesLimit(n uint64) (*syscall.Rlimit, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return nil, err
	}
	limit.Cur = int64(n)
	limit.Max = max(limit.Max, int64(n))
	return &limit, nil
}

//go:build gozd_fault

package fault

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// Enabled says that the program was built with the tag.
const Enabled = true

// pollInterval is how often a process that has stopped looks whether it may go on.
const pollInterval = time.Millisecond

// At stops the calling goroutine where the directory has a file of the point's name:
// it makes a file "name.PID", which says so, and waits until that has been removed.
func At(name string) {
	dir := os.Getenv(Dir)
	if dir == "" {
		return
	}
	path := filepath.Join(dir, name)
	if _, err := os.Lstat(path); err != nil {
		return
	}
	mark := path + "." + strconv.Itoa(os.Getpid())
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		return
	}
	for {
		if _, err := os.Lstat(mark); err != nil {
			return
		}
		time.Sleep(pollInterval)
	}
}

// Disk returns the error of a full disk where the directory has the file [DiskFull].
func Disk() error {
	dir := os.Getenv(Dir)
	if dir == "" {
		return nil
	}
	if _, err := os.Lstat(filepath.Join(dir, DiskFull)); err != nil {
		return nil
	}
	return syscall.ENOSPC
}

package process

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// allocate takes size bytes of room for a new file's content at once, so that a disk that fills up
// cannot refuse it later; the file stays empty. It also keeps ext4 from doing so when the file
// is renamed over another, and from writing it to the disk then (auto_da_alloc in ext4(5)).
func allocate(f *os.File, size int) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var callErr error
	err = raw.Control(func(fd uintptr) {
		callErr = unix.Fallocate(int(fd), unix.FALLOC_FL_KEEP_SIZE, 0, int64(size))
	})
	if errors.Is(callErr, syscall.EOPNOTSUPP) || errors.Is(callErr, syscall.ENOSYS) {
		callErr = nil // the file system has no such call: the write takes the room
	}
	return errors.Join(err, callErr)
}

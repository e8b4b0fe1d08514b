package process

import (
	"os"

	"golang.org/x/sys/unix"
)

// Scratch returns a new file without a name, to which every write appends. It is in memory.
func Scratch() (*os.File, error) {
	fd, err := unix.MemfdCreate("gozd-stderr", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFL, unix.O_APPEND|unix.O_RDWR); err != nil {
		_ = unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(fd), "standard error"), nil
}

// FreeScratch gives the memory of what is before offset to back. It reads as zeros then.
func FreeScratch(f *os.File, to int64) {
	_ = control(f, func(fd int) error {
		return unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, to)
	})
}

package totals

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
)

// newMemory makes a file without a name, which nobody can make smaller.
func newMemory(size int64) (*os.File, error) {
	f, err := newFile()
	if err != nil {
		return nil, err
	}
	if err = f.Truncate(size); err == nil {
		_, err = unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// newLedgerFile makes a file without a name, to whose end every process writes that has it: the flag is the file's, not the descriptor's.
func newLedgerFile() (*os.File, error) {
	f, err := newFile()
	if err != nil {
		return nil, err
	}
	if _, err := unix.FcntlInt(f.Fd(), unix.F_SETFL, unix.O_APPEND); err != nil {
		_ = f.Close()
		return nil, os.NewSyscallError("fcntl", err)
	}
	return f, nil
}

func newFile() (*os.File, error) {
	fd, err := unix.MemfdCreate("gozd totals", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	return os.NewFile(uintptr(fd), "gozd totals"), nil
}

// mapMemory maps size bytes of f. Memory that is smaller would end the process that touches it.
func mapMemory(f *os.File, size int) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	seals, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	if info.Size() != int64(size) || seals&unix.F_SEAL_SHRINK == 0 {
		return nil, os.ErrInvalid
	}
	return unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
}

func unmapMemory(mem []byte) { _ = unix.Munmap(mem) }

// counters are those in b, which is mapped, and begins at a multiple of eight as mapped memory does at a page.
func counters(b []byte) *listener.Totals {
	_ = b[:unsafe.Sizeof(listener.Totals{})]
	return (*listener.Totals)(unsafe.Pointer(unsafe.SliceData(b))) // it holds nothing but numbers
}

package require

import "golang.org/x/sys/unix"

// KernelRefuses reports whether the kernel can refuse descriptors that are sent to a Unix socket, as 6.16 and later can.
func KernelRefuses() bool {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Close(fd) }()
	_, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSRIGHTS)
	return err == nil
}

package fdpass

import "golang.org/x/sys/unix"

// Refuse has the kernel refuse descriptors that others send to the socket fd, and to those that are accepted from it: the sender gets EPERM.
// A descriptor for which the reader has no room is closed in its own read, or when the socket is, and that takes as long as its sender
// wants: a TCP connection with SO_LINGER blocks close(2), and a file of a FUSE file system for ever. Linux 6.16 and later can; elsewhere it
// does nothing.
func Refuse(fd int) { _ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSRIGHTS, 0) }

//go:build unix

package activation

import "golang.org/x/sys/unix"

// shutDown ends a listening socket for all who have it: clients are refused, those in its queue too, and
// others can have its address. systemd drops one that it keeps.
func shutDown(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_RDWR) }

// inode is the number of a socket, 0 if there is none.
func inode(fd uintptr) uint64 {
	var st unix.Stat_t
	if unix.Fstat(int(fd), &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return 0
	}
	return st.Ino
}

package safepath

import (
	"errors"

	"golang.org/x/sys/unix"
)

// aclAttribute is where the kernel shows a file's access control list, if that says more than the mode (acl(5)).
const aclAttribute = "system.posix_acl_access"

// HasACL reports whether a file has an access control list: then the bits of its group in the mode are the most that any
// user or group in the list may do, and not only the file's own group. Where that cannot be found out it has one.
func HasACL(path string) bool {
	_, err := unix.Lgetxattr(path, aclAttribute, nil)
	return isThere(err)
}

// dirHasACL is HasACL for a directory that is open by O_PATH, which shows no attributes.
func dirHasACL(dir int) bool {
	fd, err := unix.Openat(dir, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return true
	}
	defer func() { _ = unix.Close(fd) }()
	_, err = unix.Fgetxattr(fd, aclAttribute, nil)
	return isThere(err)
}

// isThere tells a file without a list, or on a file system without any, by the error of asking for it.
func isThere(err error) bool {
	return !errors.Is(err, unix.ENODATA) && !errors.Is(err, unix.ENOTSUP) && !errors.Is(err, unix.ENOSYS)
}

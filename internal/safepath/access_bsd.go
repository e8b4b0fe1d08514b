//go:build unix && !linux

package safepath

import "golang.org/x/sys/unix"

// Access is access(2) with this process's effective rights.
func Access(path string, mode uint32) error {
	if err := unix.Faccessat(unix.AT_FDCWD, path, mode, unix.AT_EACCESS); err != nil {
		return pathError("write to", path, err)
	}
	return nil
}

//go:build !linux

package process

import "io/fs"

// holdsLock reports true: who has a lock cannot be seen here, and there are no PID namespaces.
func holdsLock(int, fs.FileInfo) (bool, error) { return true, nil }

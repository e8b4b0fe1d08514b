//go:build unix

package process

import "golang.org/x/sys/unix"

// LogMoved reports whether the file at path is another than this process's standard output, which
// OpenLog has made of it, or is gone.
func LogMoved(path string) bool {
	var now, there unix.Stat_t
	if unix.Fstat(1, &now) != nil {
		return false
	}
	return unix.Stat(path, &there) != nil || now.Dev != there.Dev || now.Ino != there.Ino
}

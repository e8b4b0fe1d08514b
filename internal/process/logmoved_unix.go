//go:build unix

package process

import (
	"syscall"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/safepath"
)

// LogMoved reports whether the file at path is another than this process's standard output, which
// OpenLog has made of it, or is gone.
func LogMoved(path string) bool {
	var now unix.Stat_t
	if unix.Fstat(1, &now) != nil {
		return false
	}
	info, err := safepath.Stat(path)
	if err != nil {
		return true
	}
	there, ok := info.Sys().(*syscall.Stat_t)
	return ok && (now.Dev != there.Dev || now.Ino != there.Ino)
}

package bench

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// watch returns a function that waits until something is renamed to pidfile. To look again and again takes
// the processor from who is looked at, and Go's own sleeps are at least a millisecond long where nothing else runs.
func watch(b *testing.B, pidfile string) (wait func()) {
	b.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		b.Fatal(err)
	}
	events := os.NewFile(uintptr(fd), "inotify")
	b.Cleanup(func() { _ = events.Close() })
	if _, err := unix.InotifyAddWatch(fd, filepath.Dir(pidfile), unix.IN_MOVED_TO); err != nil {
		b.Fatal(err)
	}
	return func() {
		_ = events.SetReadDeadline(time.Now().Add(time.Second))
		_, _ = events.Read(make([]byte, 4096))
	}
}

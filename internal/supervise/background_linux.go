package supervise

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// writeInBackground lets this goroutine, for as long as it runs, write to a terminal in whose background this process is. Where the
// terminal has "tostop", that would stop the whole process otherwise, and a supervisor that is stopped hears no signal: by a line of the
// service's, or by its own log. A signal that is ignored would be so in all processes started from here; blocked by this thread it is
// nobody else's affair (termios(3), TOSTOP).
func writeInBackground() {
	runtime.LockOSThread() // and the thread ends with the goroutine
	set := new(unix.Sigset_t)
	const bits = 8 * unix.SizeofPtr
	set.Val[(unix.SIGTTOU-1)/bits] |= 1 << ((unix.SIGTTOU - 1) % bits)
	_ = unix.PthreadSigmask(unix.SIG_BLOCK, set, nil) // an error leaves what a program without gozd has
}

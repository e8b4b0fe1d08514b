package supervise

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// parentDeath is the signal that this process gets when its parent ends, as "unshare --kill-child" and others ask for
// it; 0 for none. It belongs to the first thread, on which packages are initialised, and would be lost when another one
// runs the next image.
var parentDeath = func() (sig int32) {
	_ = unix.Prctl(unix.PR_GET_PDEATHSIG, uintptr(unsafe.Pointer(&sig)), 0, 0, 0)
	return sig
}()

// exec runs the program at path in the place of this process: same PID, same arguments. Signals have to be held. It returns
// only if that fails, and then nothing has changed.
func (s *state) exec(path string) error {
	if err := s.inherit(true); err != nil {
		return err
	}
	defer func() { _ = s.inherit(false) }()
	undo, err := mask(unix.SIG_BLOCK)
	if err != nil {
		return err
	}
	defer undo()
	args := append([]string{s.Binary}, os.Args[1:]...)
	_ = unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(parentDeath), 0, 0, 0) // cannot fail with what the kernel has given
	s.takePending()
	env, err := s.environ()
	if err != nil {
		return err
	}
	hangup := setAction(unix.SIGHUP, &ignored)
	defer setAction(unix.SIGHUP, &hangup)
	return fmt.Errorf("supervise: run %s: %w", path, syscall.Exec(path, args, env))
}

// provenBinary returns a path of the very binary that g runs. The one at the daemon's path may be
// newer by now, and bad. close is to be called if it has not been run.
func provenBinary(g *generation) (path string, closeIt func(), err error) {
	exe, err := os.Open(filepath.Join("/proc", strconv.Itoa(g.PID), "exe"))
	if err != nil {
		return "", nil, fmt.Errorf("supervise: binary of generation %d: %w", g.Number, err)
	}
	if start, err := process.StartTime(g.PID); err != nil || start != g.StartTime {
		_ = exe.Close()
		return "", nil, fmt.Errorf("supervise: binary of generation %d: %w", g.Number, os.ErrProcessDone)
	}
	fd := -1
	if raw, err := exe.SyscallConn(); err == nil {
		_ = raw.Control(func(n uintptr) { fd = int(n) })
	}
	return fmt.Sprintf("/proc/self/fd/%d", fd), func() { _ = exe.Close() }, nil
}

// runs reports whether this process runs the very file at path.
func runs(path string) bool {
	this, err := os.Stat("/proc/self/exe")
	if err != nil {
		return false
	}
	that, err := os.Stat(path)
	return err == nil && os.SameFile(this, that)
}

// nameProcess has ps show the binary's name, not that of a descriptor.
func nameProcess(binary string) {
	_ = os.WriteFile("/proc/self/comm", []byte(filepath.Base(binary)), 0)
}

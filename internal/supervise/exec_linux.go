package supervise

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// exec runs the program at path in the place of this process: same PID, same arguments. It returns
// only if that fails, and then nothing has changed.
func (s *state) exec(path string) error {
	env, err := s.environ()
	if err != nil {
		return err
	}
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

// nameProcess has ps show the binary's name, not that of a descriptor.
func nameProcess(binary string) {
	_ = os.WriteFile("/proc/self/comm", []byte(filepath.Base(binary)), 0)
}

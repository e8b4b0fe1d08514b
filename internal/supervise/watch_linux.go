package supervise

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// watched is a hold on a generation's process, and on no other that gets its PID later.
type watched struct{ file *os.File }

// holdProcess takes hold of the process that has this PID.
func holdProcess(pid int) (*watched, error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("pidfd_open", err)
	}
	return &watched{file: os.NewFile(uintptr(fd), fmt.Sprintf("process %d", pid))}, nil
}

// openProcess takes hold of the process that has this PID and this start time. It may have ended if nobody has collected it yet: what it
// has said still counts. The error wraps os.ErrProcessDone where there is none.
func openProcess(pid int, startTime uint64) (*watched, error) {
	w, err := holdProcess(pid)
	if errors.Is(err, unix.ESRCH) {
		err = os.ErrProcessDone
	}
	if err != nil {
		return nil, err
	}
	start, err := process.Began(pid)
	if err != nil {
		err = w.whyUnseen(pid, err)
	} else if start != startTime {
		err = os.ErrProcessDone
	}
	if err != nil {
		_ = w.file.Close()
		return nil, err
	}
	return w, nil
}

// hasEnded reports whether the process has, collected or not.
func (w *watched) hasEnded() bool {
	raw, err := w.file.SyscallConn()
	ended := false
	if err == nil {
		err = raw.Control(func(fd uintptr) { ended, _ = readable(int(fd)) })
	}
	return ended || err != nil
}

// isHidden reports whether a look into /proc fails as where it hides a process that lives: hidepid=1 lists what it does not show.
func isHidden(err error) bool {
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission)
}

// whyUnseen says what an error of a look into /proc means: that the process has ended, or that /proc does not show it.
func (w *watched) whyUnseen(pid int, err error) error {
	switch {
	case w.hasEnded():
		return os.ErrProcessDone
	case isHidden(err):
		return fmt.Errorf("/proc hides process %d from the supervisor (hidepid, in a unit ProtectProc=), so it could not be watched: "+
			"change that, give the supervisor CAP_SYS_PTRACE, or have everybody read the binary: %w", pid, err)
	}
	return err
}

// whyDeaf returns why this process could not signal that one. The kernel looks at the same rights for signal 0, which is none.
func (w *watched) whyDeaf(pid int) error {
	err := w.signal(0)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ESRCH), w.hasEnded():
		return os.ErrProcessDone
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("the supervisor may not signal process %d, which is another user's, so it could pass no signal on: "+
			"give the supervisor CAP_KILL: %w", pid, err)
	}
	return fmt.Errorf("signal process %d: %w", pid, err)
}

// end is that of a process.
type end struct {
	pid    int
	status *syscall.WaitStatus // nil if it is not known
}

// awaitEnd sends pid when the process has ended.
func (w *watched) awaitEnd(pid int, ends chan<- end, done <-chan struct{}) {
	raw, err := w.file.SyscallConn()
	if err == nil {
		err = raw.Read(func(fd uintptr) bool {
			ended, err := readable(int(fd))
			return ended || err != nil
		})
	}
	if err != nil {
		return
	}
	select {
	case ends <- end{pid, w.exitStatus(raw)}:
	case <-done:
	}
}

// parentWait is how long the parent of a generation that has ended may take to collect it.
const parentWait = time.Second

// exitStatus returns the status of a process that another one collects. Linux 6.15 and later tell.
func (w *watched) exitStatus(raw syscall.RawConn) (status *syscall.WaitStatus) {
	for deadline := time.Now().Add(parentWait); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		var err error
		if ctlErr := raw.Control(func(fd uintptr) { status, err = exitInfo(fd) }); ctlErr != nil || err != nil || status != nil {
			return status
		}
	}
	return nil
}

// exitInfo asks once (struct pidfd_info in linux/pidfd.h, as it was at first). Both are nil as long as the
// process has not been collected. While it is being collected the kernel may find no process, and says ESRCH without
// having written anything (pidfd_info in fs/pidfs.c); one that knows nothing of the exit says so forever.
func exitInfo(pidfd uintptr) (*syscall.WaitStatus, error) {
	const (
		getInfo  = 0xC040FF0B // PIDFD_GET_INFO
		infoExit = 1 << 3     // PIDFD_INFO_EXIT
	)
	info := struct {
		mask, _ uint64
		_       [11]uint32
		exit    uint32
	}{mask: infoExit}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, pidfd, getInfo, uintptr(unsafe.Pointer(&info)))
	switch {
	case errno == unix.ESRCH, errno == 0 && info.mask&infoExit == 0:
		return nil, nil
	case errno != 0:
		return nil, errno
	}
	ws := syscall.WaitStatus(info.exit)
	return &ws, nil
}

func (w *watched) signal(sig syscall.Signal) error {
	raw, err := w.file.SyscallConn()
	if err != nil {
		return err
	}
	ctlErr := raw.Control(func(fd uintptr) { err = unix.PidfdSendSignal(int(fd), sig, nil, 0) })
	return errors.Join(ctlErr, err)
}

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

// watch begins to wait for g's end. One that has ended already is taken note of at once.
func (s *supervisor) watch(g *generation) {
	w, err := openProcess(g)
	if err != nil {
		s.reap()
		s.ended(g.PID, nil)
		return
	}
	s.watched[g.PID] = w
	go w.awaitEnd(g.PID, s.ends, s.done)
}

func openProcess(g *generation) (*watched, error) {
	fd, err := unix.PidfdOpen(g.PID, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("pidfd_open", err)
	}
	w := &watched{file: os.NewFile(uintptr(fd), fmt.Sprintf("process %d", g.PID))}
	if start, err := process.StartTime(g.PID); err != nil || start != g.StartTime {
		_ = w.file.Close()
		return nil, os.ErrProcessDone
	}
	return w, nil
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

// hear takes note of all that has been said until now.
func (s *supervisor) hear() {
	for {
		m, err := s.channel.next()
		if err != nil {
			break
		}
		if len(m.data) == 0 { // its end: no generation has the other one any more
			s.channel.over = true
			break
		}
		s.understand(m)
		m.close()
	}
	s.hearProgram()
}

func (s *supervisor) understand(m message) {
	e, err := decodeEvent(m.data)
	if err != nil {
		s.log.Warn("not understood", "pid", m.pid, "error", err)
		return
	}
	s.heard(m.pid, e)
	if e.Kind == Keeping {
		s.keepSockets(m.pid, e.Names, m.files)
	}
}

func (s *supervisor) heard(pid int, e Event) {
	before := s.Line.find(pid)
	known, stoodBy := before != nil, before != nil && before.Phase == isStandby
	g := s.Line.heard(pid, e)
	if g == nil {
		s.log.Warn("not a generation", "pid", pid, "says", string(e.Kind))
		return
	}
	if !known {
		s.watch(g)
	}
	switch e.Kind {
	case Hurry:
		if s.embedded != nil {
			s.embedded.own(syscall.Signal(e.Signal))
		}
	case Serving:
		s.renew = g.Number > 1 && s.mayRenew(g)
		if s.Asked != 0 {
			s.keep(syscall.Signal(s.Asked)) // the one before it may have been replaced when it was asked
		}
	case Failed:
		s.renew = stoodBy && s.mayRenew(g) // it has the older binary
		if stoodBy {
			s.Status = nil // that of its successor, which was not the last
		}
	case Draining, Stopping, Starting, Upgrading, Alive, Keeping:
	}
	if (e.Kind == Serving || e.Kind == Failed) && !e.Keeps {
		s.store(nil, nil)
	}
	s.report(g, e)
}

// mayRenew reports whether the binary of a generation can be run in this one's place.
func (s *supervisor) mayRenew(g *generation) bool {
	return s.embedded == nil && g.Version == protocolVersion && s.Asked == 0 && os.Getpid() != 1
}

// reap collects every child that has ended: generations, and orphans of theirs.
func (s *supervisor) reap() {
	if s.embedded != nil {
		s.reapKnown()
		return
	}
	for {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, syscall.WNOHANG, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		s.ended(pid, &ws)
	}
}

// ended takes note of the end of a process. Its status is not known where its parent lives, and has it.
//
// What has been said before is heard first, however the end was found out: a generation that is replaced and
// gone while this process runs its next image would else be the one that served, with nobody after it.
func (s *supervisor) ended(pid int, ws *syscall.WaitStatus) {
	s.hear()
	served := s.Line.serving()
	if !s.Line.ended(pid) {
		return
	}
	if served != nil && served.PID == pid && s.Asked != 0 {
		s.keep(syscall.Signal(s.Asked)) // for the one that may serve on in its place
	}
	if w := s.watched[pid]; w != nil {
		_ = w.file.Close()
		delete(s.watched, pid)
	}
	if ws != nil && (s.Status == nil || served != nil && served.PID == pid) {
		status := uint32(*ws)
		s.Status = &status
	}
	if pid == os.Getpid() {
		return // it has drained, and goes on as the supervisor
	}
	s.log.Info("a generation has ended", "pid", pid, "status", describe(ws), "now", s.Line.status())
	s.reportStatus()
}

func describe(ws *syscall.WaitStatus) string {
	switch {
	case ws == nil:
		return "not known"
	case ws.Signaled():
		return ws.Signal().String()
	}
	return fmt.Sprint(ws.ExitStatus())
}

// pass passes a signal on to the generation that serves, or keeps it until one can take it.
func (s *supervisor) pass(sig syscall.Signal) {
	if g := s.Line.serving(); g != nil && sig == unix.SIGUSR1 && s.Line.Upgrading {
		s.send(g, sig) // and to its successor, which may have the old file too
	}
	s.take(sig)
}

// passKept passes on what can be: nothing as long as nobody handles signals, and no request for an
// upgrade while one is in progress, since the generation that is being replaced would be too late to take it.
func (s *supervisor) passKept() {
	g := s.Line.listening()
	if g == nil {
		return
	}
	var rest []int
	for _, n := range s.Kept {
		sig := syscall.Signal(n)
		if s.Line.Upgrading && (sig == unix.SIGHUP || sig == unix.SIGUSR1) {
			rest = append(rest, n)
			continue
		}
		s.send(g, sig)
	}
	s.Kept = rest
}

func (s *supervisor) send(g *generation, sig syscall.Signal) {
	w := s.watched[g.PID]
	if w == nil {
		return // it has ended, and that will be heard
	}
	if err := w.signal(sig); err != nil && !errors.Is(err, unix.ESRCH) {
		s.log.Warn("signal not passed on", "signal", sig.String(), "pid", g.PID, "error", err)
		return
	}
	s.log.Info("signal passed on", "signal", sig.String(), "generation", g.Number, "pid", g.PID)
}

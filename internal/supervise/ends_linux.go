package supervise

import (
	"errors"
	"fmt"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// reap collects children that have ended: generations, and orphans of theirs. Where there are many at once it leaves
// the rest for another turn.
func (s *supervisor) reap() {
	s.hear() // as long as those who speak can be looked at
	const atOnce = 256
	var all []end
	defer func() { s.bury(all...) }()
	for range atOnce {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, syscall.WNOHANG, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		all = append(all, end{pid, &ws})
	}
	select {
	case s.children <- unix.SIGCHLD:
	default: // it has one
	}
}

// bury takes note of the ends of processes.
//
// What has been said before is heard first, however the end was found out: a generation that is replaced and
// gone while this process has no processor would else be the one that served, with nobody after it. It is heard once for
// all of them: who floods the channel has it take its whole time, and a signal may wait.
func (s *supervisor) bury(all ...end) {
	all = slices.DeleteFunc(all, func(e end) bool { return s.generations.find(e.pid) == nil }) // orphans, of which there may be many
	if len(all) == 0 {
		return
	}
	s.hear()
	for _, e := range all {
		s.ended(e.pid, e.status)
	}
}

// ended takes note of the end of a generation. Its status is not known where its parent lives, and has it.
func (s *supervisor) ended(pid int, ws *syscall.WaitStatus) {
	served := s.generations.serving()
	s.generations.ended(pid)
	if served != nil && served.PID == pid {
		s.passing.askAgain()
		s.processes.expectSuccessor()
	}
	s.processes.release(pid)
	if ws != nil && (s.status == nil || served != nil && served.PID == pid) {
		s.status = ws
	}
	log := s.log.Info
	switch {
	case served != nil && served.PID == pid && !s.generations.ending():
		log = s.log.Error
	case ws != nil && *ws == 0: // as after each upgrade
		log = s.log.Debug
	}
	log("a generation has ended", "pid", pid, "status", describe(ws), "now", s.generations.status())
	s.unit.reportStatus()
}

func describe(ws *syscall.WaitStatus) string {
	switch {
	case ws == nil:
		return "unknown"
	case ws.Signaled():
		return ws.Signal().String()
	}
	return fmt.Sprint(ws.ExitStatus())
}

// result is the status of the daemon, with which this process is to end. It does not return where that
// is a signal's, and this process can die of it.
func (s *supervisor) result() int {
	switch {
	case s.status == nil && s.generations.stopping:
		return 0
	case s.status == nil:
		return 1 // it has crashed, and its parent, which lives, has its status
	case s.status.Signaled():
		dieOf(s.status.Signal())
		return 128 + int(s.status.Signal()) // as shells have it
	}
	return s.status.ExitStatus()
}

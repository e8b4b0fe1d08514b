package supervise

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// How long the readers may take to bring what has been sent before something else is dealt with, in one turn of the loop: a signal
// waits for the turn before its own, and is to be passed on within a second whatever a hostile sender does. And before the end of
// all generations, after which nothing can be put right. A reader that gets a processor needs microseconds.
const (
	hearWait = 400 * time.Millisecond
	lastWait = 3 * time.Second
)

// supervisor is what Run has. One goroutine has all of it.
type supervisor struct {
	log         *slog.Logger
	generations generations
	watched     map[int]*watched // by PID, the generations
	systemd     systemd
	ownStatus   string // the program's, behind ours
	stored      []Stored
	user        *User            // whom the generations become
	becomes     bool             // the generations become another user than this process's
	apart       bool             // this process has a terminal, and the generations have not
	relays      []chan struct{}  // closed when all has been written on
	tooLate     <-chan time.Time // when nobody can succeed a generation any more that has ended; nil for never

	channel *inbox
	notify  *inbox // nil without systemd

	signals  chan os.Signal
	children chan os.Signal
	ends     chan end      // generations that have ended
	done     chan struct{} // closed when the daemon has ended

	most           int              // generations at once
	pendingSignals []syscall.Signal // that could not be passed on yet
	again          <-chan time.Time // when they are tried again; nil for not before something happens
	asked          syscall.Signal   // by which the daemon was asked to end
	extends        extension
	status         *syscall.WaitStatus
	turn           time.Time // when the loop's turn began
	complained     time.Time // when the log last said that something was not believed
}

// Supported reports whether this system can have a supervisor.
const Supported = true

// Run is the supervisor's life, in the process that calls it. It starts generation 1, and returns the status with which
// the process is to end, or ends it by the signal that ended the last generation. The error is that generation 1 could not be
// started. The caller closes what it holds of the daemon's sockets in Options.Started.
func Run(opts Options) (status int, err error) {
	if hasChannel() {
		return 1, errors.New("supervise: this process has a supervisor, and the program has removed what says so from its environment")
	}
	if err := canWatch(); err != nil {
		return 1, err
	}
	log, lines := unwaiting(opts.Log.With("supervisor", os.Getpid()))
	defer lines.end()
	s := &supervisor{
		log:      log,
		user:     opts.User,
		watched:  make(map[int]*watched),
		stored:   opts.Stored,
		signals:  make(chan os.Signal, 64),
		children: make(chan os.Signal, 1),
		ends:     make(chan end),
		done:     make(chan struct{}),
	}
	s.becomes = s.user != nil && s.user.UID != os.Geteuid()
	s.apart = s.becomes && HasTerminal()
	signal.Notify(s.signals, passedOn...)
	signal.Notify(s.children, unix.SIGCHLD)
	// The generations share stderr, and may shut it down where it is a socket: then a line of the log must not end this process.
	// Ignored, it would be ignored by their children too.
	signal.Notify(make(chan os.Signal, 1), unix.SIGPIPE)
	s.systemd = newSystemd()
	var door *door
	if s.systemd.watches {
		if door, err = openDoor(opts.User); err != nil {
			// The daemon does without: it is the program's own words that systemd does not get.
			s.log.Warn("the program cannot notify systemd", "error", err)
		}
	}
	defer door.remove()
	if err := s.begin(opts, door); err != nil {
		s.endRelays()
		return 1, err
	}
	opts.Started()
	debug.SetGCPercent(20) // it has next to nothing, and little to do
	debug.FreeOSMemory()
	s.loop()
	door.remove()
	s.endRelays()
	lines.end() // the process may not return from what follows
	return s.result(), nil
}

// begin opens the sockets on which others speak, and starts generation 1.
func (s *supervisor) begin(opts Options, door *door) error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("supervise: adopt orphans: %w", err)
	}
	ours, theirs, err := newChannel()
	if err != nil {
		return err
	}
	defer func() { _ = theirs.Close() }()
	room, most := shareDescriptors()
	s.most = most
	if !s.systemd.watches { // else an upgrade may switch fdstore on, and systemd before 254 does not say whether the unit allows for it
		room = 0
	}
	if s.channel, err = newInbox(ours, maxEvent, room, s.done); err != nil {
		return err
	}
	if door != nil {
		if s.notify, err = newInbox(door.socket, maxNotify, 0, s.done); err != nil {
			return err
		}
	}
	process.CloseAllOnExec() // what a shell has open is not for the service's user
	return s.startFirst(opts, theirs, door)
}

// loop goes on until the daemon has ended. Whatever comes first, what the generations have said before is
// heard before it. Nothing in it waits for anybody but systemd, and a signal comes before all else.
func (s *supervisor) loop() {
	defer close(s.done)
	for {
		s.turn = time.Now()
		s.passPending()
		if s.over() {
			return
		}
		select {
		case sig := <-s.signals:
			s.hear()
			s.take(sig.(syscall.Signal))
			continue
		default:
		}
		select {
		case sig := <-s.signals:
			s.turn = time.Now()
			s.hear()
			s.take(sig.(syscall.Signal))
		case m, ok := <-s.channel.messages:
			s.heedChannel(m, ok)
		case m, ok := <-s.fromProgram():
			s.notify.take(m, ok, s.hearProgram)
		case <-s.children:
			s.turn = time.Now()
			s.reap()
		case e := <-s.ends:
			s.turn = time.Now()
			s.reap() // it may have been a child, and then there is a status for sure
			s.bury(e)
		case <-s.again: // by passPending
		case <-s.tooLate:
			s.generations.lost, s.tooLate = nil, nil
		}
	}
}

// over reports whether the daemon has ended, when all has been heard.
func (s *supervisor) over() bool {
	if !s.generations.over() || s.awaitsHeir() {
		return false
	}
	// A signal that comes now has nobody to go to, unless one speaks that is not known to live.
	if sig := s.channel.drain(time.Now().Add(lastWait), s.signals, s.heedChannel); sig != nil {
		s.take(sig.(syscall.Signal))
		s.turn = time.Now()
		s.hear()
	}
	return s.generations.over() && !s.awaitsHeir()
}

// ending reports whether the daemon is to end.
func (s *supervisor) ending() bool { return s.asked != 0 || s.generations.stopping }

// fromProgram is nil, of which nothing comes, without systemd.
func (s *supervisor) fromProgram() <-chan message {
	if s.notify == nil {
		return nil
	}
	return s.notify.messages
}

// hear takes note of all that the generations have said until now.
func (s *supervisor) hear() { s.channel.drain(s.turn.Add(hearWait), nil, s.heedChannel) }

func (s *supervisor) heedChannel(m message, ok bool) { s.channel.take(m, ok, s.understand) }

func (s *supervisor) understand(m message) {
	e, err := decodeEvent(m.data)
	if err != nil {
		s.drop(m.pid, "not understood", err)
		return
	}
	if s.generations.find(m.pid) == nil {
		if err := s.admit(m.pid, e); err != nil {
			s.drop(m.pid, "not believed", err)
			return
		}
	}
	s.heard(m, e)
}

// drop writes to the log why a message is not heeded.
func (s *supervisor) drop(pid int, what string, err error) {
	if s.mayComplain() {
		s.log.Warn("a message on the channel is dropped", "pid", pid, "error", fmt.Errorf("%s: %w", what, err))
	}
}

// mayComplain is true once a second: the service's user may do all the time what is to be complained of.
func (s *supervisor) mayComplain() bool {
	if time.Since(s.complained) < time.Second {
		return false
	}
	s.complained = time.Now()
	return true
}

var errOutOfTurn = errors.New("a generation does not say that where it is")

func (s *supervisor) heard(m message, e Event) {
	before := *s.generations.find(m.pid)
	g := s.generations.heard(m.pid, e)
	if g == nil {
		s.drop(m.pid, "not believed", fmt.Errorf("%q: %w", e.Kind, errOutOfTurn))
		return
	}
	switch e.Kind {
	case Upgrading:
		s.noteUser(g)
	case Keeping:
		if err := s.keepSockets(e.Names, m.files); err != nil {
			s.drop(m.pid, "sockets not kept", err)
		}
	case Serving:
		s.noteUser(g)  // it has given up what rights it had to give up
		s.status = nil // those that have ended before it were not the last
		s.askAgain()
	case Failed:
		if before.Phase == isStandby {
			s.status = nil // that of its successor, which was not the last
		}
		if before.Phase != isServing { // who served until now may have been sent the signal, and may have been no generation
			s.askAgain()
		}
	case Draining, Stopping, Starting, Alive, Settled:
	}
	if (e.Kind == Serving || e.Kind == Failed) && !e.Keeps {
		s.store(nil, nil)
	}
	s.report(g, e)
}

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
		s.askAgain()
		s.expectHeir()
	}
	if w := s.watched[pid]; w != nil {
		_ = w.file.Close()
		delete(s.watched, pid)
	}
	if ws != nil && (s.status == nil || served != nil && served.PID == pid) {
		s.status = ws
	}
	s.log.Info("a generation has ended", "pid", pid, "status", describe(ws), "now", s.generations.status())
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

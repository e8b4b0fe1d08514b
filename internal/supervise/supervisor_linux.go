package supervise

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/allowance"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// How long the readers may take to bring what has been sent before something else is dealt with, in one turn of the loop: a signal
// waits for the turn before its own, and is to be passed on within a second whatever a hostile sender does. And before the end of
// all generations, after which nothing can be put right. A reader that gets a processor needs microseconds.
const (
	hearWait = 400 * time.Millisecond
	lastWait = 3 * time.Second

	hearStep = 20 * time.Millisecond // how often the clock is looked at meanwhile
)

// supervisor is what Run has. One goroutine has all of it.
type supervisor struct {
	log         *slog.Logger
	generations generations
	processes   processes
	passing     passing
	unit        unit
	streams     streams
	complaints  complaints // what has been said is not believed

	becomes bool // the generations become another user than this process's
	apart   bool // this process is a person's at a terminal, and the generations are not

	channel *inbox
	answers answers
	notify  *inbox // nil without systemd

	signals  chan os.Signal
	children chan os.Signal

	status *syscall.WaitStatus // with which the daemon has ended; nil if that is not known

	turn allowance.Allowance // of the loop
}

func newSupervisor(opts Options, log *slog.Logger) *supervisor {
	s := &supervisor{log: log, signals: make(chan os.Signal, 64), children: make(chan os.Signal, 1)}
	s.processes = processes{
		generations: &s.generations, user: opts.User, signals: s.signals,
		held: make(map[int]*watched), ends: make(chan end), done: make(chan struct{}),
	}
	s.passing = passing{generations: &s.generations, processes: &s.processes, log: log, complaints: &s.complaints}
	s.unit = unit{systemd: newSystemd(log), generations: &s.generations, log: log, stored: opts.Stored}
	s.becomes = opts.User != nil && opts.User.UID != os.Geteuid()
	s.apart = s.becomes && OnTerminal() && HasTerminal()
	return s
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
	s := newSupervisor(opts, log)
	reserveThreads()
	signal.Notify(s.signals, passedOn...)
	signal.Notify(s.children, unix.SIGCHLD)
	// The generations share stderr, and may shut it down where it is a socket: then a line of the log must not end this process.
	// Ignored, it would be ignored by their children too.
	signal.Notify(make(chan os.Signal, 1), unix.SIGPIPE)
	var door *door
	if s.unit.watches {
		if door, err = openDoor(opts.User); err != nil {
			// The daemon does without: it is the program's own words that systemd does not get.
			s.log.Warn("the program cannot notify systemd", "error", err)
		}
	}
	defer door.remove()
	if err := s.begin(opts, door); err != nil {
		s.streams.end()
		s.unit.outbox.end()
		return 1, err
	}
	opts.Started()
	debug.SetGCPercent(20) // it has next to nothing, and little to do
	debug.FreeOSMemory()
	s.loop()
	door.remove()
	s.streams.end()
	s.unit.outbox.end()
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
	answers, read, err := newAnswers()
	if err != nil {
		return err
	}
	defer func() { _ = read.Close() }()
	s.answers = answers
	room, most := shareDescriptors()
	s.processes.most = most
	if !s.unit.watches || !opts.Keeps {
		room = 0
		if err := refuse(ours); err != nil {
			return err
		}
	}
	if s.channel, err = newInbox(ours, maxEvent, room, s.processes.done); err != nil {
		return err
	}
	if door != nil {
		if s.notify, err = newInbox(door.socket, maxNotify, 0, s.processes.done); err != nil {
			return err
		}
	}
	process.CloseAllOnExec() // what a shell has open is not for the service's user
	return s.startFirst(opts, theirs, read, door)
}

// loop goes on until the daemon has ended. Whatever comes first, what the generations have said before is
// heard before it. Nothing in it waits for anybody, and a signal comes before all else.
func (s *supervisor) loop() {
	defer close(s.processes.done)
	for {
		s.turn = allowance.New(hearWait, hearStep)
		s.pass()
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
			s.turn = allowance.New(hearWait, hearStep)
			s.hear()
			s.take(sig.(syscall.Signal))
		case m, ok := <-s.channel.messages:
			s.heedChannel(m, ok)
		case m, ok := <-s.fromProgram():
			s.notify.take(m, ok, s.unit.hearProgram)
		case <-s.children:
			s.turn = allowance.New(hearWait, hearStep)
			s.reap()
		case e := <-s.processes.ends:
			s.turn = allowance.New(hearWait, hearStep)
			s.reap() // it may have been a child, and then there is a status for sure
			s.bury(e)
		case <-s.passing.again: // by pass
		case <-s.processes.tooLate:
			s.generations.lost, s.processes.tooLate = nil, nil
		}
	}
}

// over reports whether the daemon has ended, when all has been heard.
func (s *supervisor) over() bool {
	if !s.generations.over() || s.processes.awaitsSuccessor() {
		return false
	}
	wait := allowance.New(lastWait, hearStep)
	if s.generations.ending() { // one that is not heard ends too, by the end of the channel
		wait = allowance.New(hearWait, hearStep)
	}
	// A signal that comes now has nobody to go to, unless one speaks that is not known to live.
	if sig := s.channel.drain(&wait, s.signals, s.heedChannel); sig != nil {
		s.take(sig.(syscall.Signal))
		s.turn = allowance.New(hearWait, hearStep)
		s.hear()
	}
	return s.generations.over() && !s.processes.awaitsSuccessor()
}

// take takes note of a signal that this process has got.
func (s *supervisor) take(sig syscall.Signal) {
	if sig == unix.SIGHUP && s.apart && !HasTerminal() { // it has been closed, and the generations cannot see that
		sig = unix.SIGTERM
	}
	s.passing.take(sig)
}

// pass passes on what can be.
func (s *supervisor) pass() {
	if g := s.generations.target(); g != nil {
		s.passing.passTo(g)
		return
	}
	if s.passing.endStandby() && !s.generations.stopping {
		s.generations.stopping = true
		s.status = nil // that of the successor, which was not the last
		s.unit.notify(daemon.SdNotifyStopping, s.unit.statusLine())
	}
}

// fromProgram is nil, of which nothing comes, without systemd.
func (s *supervisor) fromProgram() <-chan message {
	if s.notify == nil {
		return nil
	}
	return s.notify.messages
}

// hear takes note of all that the generations have said until now.
func (s *supervisor) hear() { s.channel.drain(&s.turn, nil, s.heedChannel) }

func (s *supervisor) heedChannel(m message, ok bool) { s.channel.take(m, ok, s.understand) }

func (s *supervisor) understand(m message) {
	e, err := decodeEvent(m.data)
	if err != nil {
		s.drop(m.pid, "not understood", err)
		return
	}
	if e.Kind == Asking {
		s.answer(m.pid, e)
		return
	}
	if s.generations.find(m.pid) == nil {
		if err := s.processes.admit(m.pid, e); err != nil {
			s.drop(m.pid, "not believed", err)
			return
		}
	}
	s.apply(m, e)
}

// drop writes to the log why a message is not heeded. One of a process that is gone is of no consequence: a start has failed, for one.
func (s *supervisor) drop(pid int, what string, err error) {
	if !errors.Is(err, os.ErrProcessDone) && s.complaints.may() {
		s.log.Warn("a message on the channel is dropped", "pid", pid, "error", fmt.Errorf("%s: %w", what, err))
	}
}

var errOutOfTurn = errors.New("a generation does not say that where it is")

func (s *supervisor) apply(m message, e Event) {
	before := *s.generations.find(m.pid)
	g := s.generations.apply(m.pid, e)
	if g == nil {
		s.drop(m.pid, "not believed", fmt.Errorf("%q: %w", e.Kind, errOutOfTurn))
		return
	}
	switch e.Kind {
	case Upgrading:
		s.processes.noteUser(g)
	case Keeping:
		if err := s.unit.keepSockets(e.Names, m.files); err != nil {
			s.drop(m.pid, "sockets not kept", err)
		}
	case Serving:
		s.processes.noteUser(g) // it has given up what rights it had to give up
		s.status = nil          // those that have ended before it were not the last
		s.passing.askAgain()
	case Failed:
		if before.Phase == isStandby {
			s.status = nil // that of its successor, which was not the last
		}
		if before.Phase != isServing { // who served until now may have been sent the signal, and may have been no generation
			s.passing.askAgain()
		}
	case Draining:
		if s.generations.lost == g {
			s.processes.expectSuccessor()
		}
	case Stopping, Starting, Alive, Settled:
	}
	if (e.Kind == Serving || e.Kind == Failed) && !e.Keeps {
		s.unit.store(nil, nil)
	}
	s.unit.report(g, e)
}

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

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/early"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// supervisor is one image of the supervisor. One goroutine has all of it.
type supervisor struct {
	*state
	log       *slog.Logger
	systemd   systemd
	ownStatus string           // the program's, behind ours
	watched   map[int]*watched // by PID, the generations of the line

	channel *inbox
	notify  *inbox // nil without systemd

	signals  chan os.Signal
	children chan os.Signal
	arrived  chan *inbox   // has something to read
	ends     chan end      // generations that have ended
	done     chan struct{} // closed when the daemon has ended

	embedded *Embedded // this process is a generation, too; nil if it is not

	renew bool // run the serving generation's binary in this one's place
}

// Supported reports whether this system can have a supervisor.
const Supported = true

// Options say what a supervisor is to do.
type Options struct {
	Binary  string // absolute path of the program
	Dir     string // where generation 1 is started
	Verbose bool

	// Env are variables for generation 1, added to those of this process.
	Env []string

	// Files are given to generation 1, from descriptor 3 on.
	Files []*os.File

	// Stored are the sockets that systemd has kept for the daemon, and has passed to this process, by their names:
	// their inodes, 0 for one that is none.
	Stored []Stored
}

// Begin makes this process the supervisor, by running its own binary once more in its
// place: nothing of the program is left in its memory then. It returns only if it fails.
func Begin(opts Options) error {
	ours, theirs, err := newChannel()
	if err != nil {
		return err
	}
	s := &state{Version: protocolVersion, Binary: opts.Binary, Verbose: opts.Verbose, Stored: opts.Stored}
	s.Channel, err = descriptor(ours)
	files := append(slices.Clip(opts.Files), theirs)
	first := &job{Dir: opts.Dir, Env: append(opts.Env, fmt.Sprintf("%s=%d", channelEnv, 2+len(files)))}
	for _, f := range files {
		fd, fdErr := descriptor(f)
		first.Files, err = append(first.Files, fd), errors.Join(err, fdErr)
	}
	if err == nil && os.Getenv(notifyEnv) != "" {
		var name string
		if s.Notify, name, err = listenNotify(); err == nil {
			first.Env = append(first.Env, notifyEnv+"="+name)
		}
	}
	if err != nil {
		return err
	}
	s.First = first
	defer s.holdSignals(early.Signals)()
	err = s.exec("/proc/self/exe")
	for _, f := range append(files, ours) {
		_ = f.Close()
	}
	return err
}

// descriptor returns f's, and leaves its mode alone.
func descriptor(f *os.File) (fd int, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return -1, err
	}
	err = raw.Control(func(n uintptr) { fd = int(n) })
	return fd, err
}

// Run is the supervisor's life, in a process for which IsSupervisor is true. It returns the status with
// which the process is to end, or ends it by the signal that ended the last generation. newLog makes its log.
func Run(newLog func(verbose bool) *slog.Logger) int {
	st, err := takeState()
	if err != nil {
		newLog(false).Error("supervisor not started", "error", err)
		return 1
	}
	debug.SetGCPercent(20) // it has next to nothing, and little to do
	s := newSupervisor(st, newLog(st.Verbose).With("supervisor", os.Getpid()))
	if err := s.begin(); err != nil {
		s.log.Error("supervisor not started", "error", err)
		return 1
	}
	s.loop()
	return s.result()
}

func newSupervisor(st *state, log *slog.Logger) *supervisor {
	return &supervisor{
		state:    st,
		log:      log,
		watched:  make(map[int]*watched),
		signals:  early.Signals,
		children: make(chan os.Signal, 1),
		arrived:  make(chan *inbox),
		ends:     make(chan end),
		done:     make(chan struct{}),
	}
}

// begin takes over what this image was given, and starts generation 1 if it is the first image.
func (s *supervisor) begin() error {
	signal.Notify(s.children, unix.SIGCHLD)
	nameProcess(s.Binary)
	if err := s.inherit(false); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("supervise: adopt orphans: %w", err)
	}
	s.systemd = newSystemd()
	if err := s.openInboxes(); err != nil {
		return err
	}
	if s.First != nil {
		return s.startFirst()
	}
	for _, g := range slices.Clone(s.Line.Generations) {
		s.watch(g)
	}
	s.reap()
	if s.Announce {
		s.Announce = false
		s.systemd.tell(daemon.SdNotifyReady, s.status())
	}
	return nil
}

func (s *supervisor) openInboxes() (err error) {
	if s.channel, err = newInbox(os.NewFile(uintptr(s.Channel), "supervisor"), maxEvent); err != nil {
		return err
	}
	go s.follow(s.channel)
	if s.Notify > 0 {
		if s.notify, err = newInbox(os.NewFile(uintptr(s.Notify), "notify"), maxNotify); err != nil {
			return err
		}
		go s.follow(s.notify)
	}
	return nil
}

// follow reports that there is something to read, and goes on when it has been read.
func (s *supervisor) follow(b *inbox) {
	for b.wait() == nil {
		select {
		case s.arrived <- b:
		case <-s.done:
			return
		}
		select {
		case <-b.emptied:
		case <-s.done:
			return
		}
	}
}

// startFirst starts generation 1.
func (s *supervisor) startFirst() error {
	job := s.First
	s.First = nil
	env := append(without(os.Environ(), childless...), job.Env...)
	files := []uintptr{0, 1, 2}
	for _, fd := range job.Files {
		files = append(files, uintptr(fd))
	}
	undo, err := mask(unix.SIG_UNBLOCK) // or it would begin with these signals blocked
	if err != nil {
		return err
	}
	pid, err := syscall.ForkExec(s.Binary, append([]string{s.Binary}, os.Args[1:]...),
		&syscall.ProcAttr{Dir: job.Dir, Env: env, Files: files})
	undo()
	for _, fd := range job.Files {
		_ = unix.Close(fd)
	}
	if err != nil {
		return fmt.Errorf("supervise: start generation 1: %w", err)
	}
	start, _ := process.StartTime(pid) // it is our child, and cannot have been collected
	g := &generation{PID: pid, StartTime: start, Number: 1, Phase: isBorn}
	s.Line.Generations = append(s.Line.Generations, g)
	s.watch(g)
	return nil
}

// loop goes on until the daemon has ended. Whatever comes first, what the generations have said before is
// heard before it.
func (s *supervisor) loop() {
	defer close(s.done)
	for {
		s.passKept()
		if s.renew { // begin may have heard of it, too
			s.renew = false
			s.runNext()
			s.systemd.tell(daemon.SdNotifyReady, s.status())
		}
		if s.Line.over() {
			return
		}
		select {
		case sig := <-s.signals:
			s.hear()
			s.pass(sig.(syscall.Signal))
		case b := <-s.arrived:
			s.hear()
			if !b.over {
				b.emptied <- struct{}{}
			}
		case <-s.children:
			s.hear()
			s.reap()
		case e := <-s.ends:
			s.hear()
			s.reap() // it may have been a child, and then there is a status for sure
			s.ended(e.pid, e.status)
		}
	}
}

// runNext runs the binary of the serving generation in this one's place, if it is another. If that fails the old one is
// good enough.
func (s *supervisor) runNext() {
	g := s.Line.serving()
	if g == nil {
		return
	}
	path, closeIt, err := provenBinary(g)
	if err == nil {
		defer closeIt()
		if runs(path) {
			return
		}
		release := s.holdSignals(s.signals)
		s.Announce = true
		err = s.exec(path)
		s.Announce = false
		signal.Notify(s.signals, early.PassedOn...)
		release()
	}
	s.log.Warn("the supervisor stays at its binary", "error", err)
}

// result is the status of the daemon, with which this process is to end. It does not return where that
// is a signal's, and this process can die of it.
func (s *supervisor) result() int {
	if s.Status != nil {
		if ws := syscall.WaitStatus(*s.Status); ws.Signaled() {
			dieOf(ws.Signal())
		}
	}
	return s.exitStatus()
}

// exitStatus is the daemon's as a number.
func (s *supervisor) exitStatus() int {
	switch {
	case s.Status == nil && s.Line.Stopping:
		return 0
	case s.Status == nil:
		return 1 // it has crashed, and its parent, which lives, has its status
	}
	ws := syscall.WaitStatus(*s.Status)
	if ws.Signaled() {
		return 128 + int(ws.Signal()) // as shells have it
	}
	return ws.ExitStatus()
}

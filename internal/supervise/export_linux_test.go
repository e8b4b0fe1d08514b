package supervise

import (
	"log/slog"
	"os"
	"syscall"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/allowance"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// Watched is a hold on a process that another one collects.
type Watched struct{ w *watched }

// Watch takes hold of a process that lives.
func Watch(pid int) (Watched, error) {
	start, err := process.StartTime(pid)
	if err != nil {
		return Watched{}, err
	}
	w, err := openProcess(pid, start)
	return Watched{w}, err
}

// ExitStatus waits until the process has ended, and returns its status; nil if that cannot be known.
func (w Watched) ExitStatus() *syscall.WaitStatus {
	ends := make(chan end, 1)
	w.w.awaitEnd(0, ends, nil)
	_ = w.w.file.Close()
	return (<-ends).status
}

// Extension asks systemd to wait.
type Extension struct{ x extension }

// Line is the request, "" for none.
func (e *Extension) Line(within time.Duration, ending bool, now time.Time) string {
	return e.x.line(within, ending, now)
}

// Unwaiting returns a logger that waits for nobody, and what waits for an instant until all has been written.
func Unwaiting(log *slog.Logger) (l *slog.Logger, end func()) {
	l, lines := unwaiting(log)
	return l, lines.end
}

// MaxLines is how many lines of the log wait to be written.
const MaxLines = maxLines

// Receive reads a message as the supervisor does, with room for descriptors, and returns how many came along.
func Receive(f *os.File, room int) (files int, err error) {
	done := make(chan struct{})
	defer close(done)
	b, err := newInbox(f, maxNotify, room, done)
	if err != nil {
		return 0, err
	}
	m, ok := <-b.messages
	if !ok {
		return 0, os.ErrClosed
	}
	b.handled <- struct{}{}
	return len(m.files), nil
}

// Inbox reads messages as the supervisor does.
type Inbox struct {
	b    *inbox
	done chan struct{}
}

// OpenInbox begins to read.
func OpenInbox(f *os.File, room int) (Inbox, error) {
	done := make(chan struct{})
	b, err := newInbox(f, maxEvent, room, done)
	return Inbox{b, done}, err
}

// Allowance is how long to wait for a reader.
type Allowance struct{ a allowance.Allowance }

// NewAllowance begins to count.
func NewAllowance(d time.Duration) *Allowance { return &Allowance{allowance.New(d, hearStep)} }

// Drain takes what has been sent, and returns how many messages that was, and a signal that has ended it.
func (i Inbox) Drain(a *Allowance, signals <-chan os.Signal) (n int, sig os.Signal) {
	sig = i.b.drain(&a.a, signals, func(m message, ok bool) { n++; i.b.take(m, ok, func(message) {}) })
	return n, sig
}

// Busy reports whether a message is being read.
func (i Inbox) Busy() bool { _, busy := i.b.look(); return busy }

// Close ends the reader, when it waits for nobody, and awaits that.
func (i Inbox) Close() {
	close(i.done)
	_ = i.b.file.Close()
	for range i.b.messages {
	}
}

// NewChannel returns the supervisor's end of a channel, and the generations'.
var NewChannel = newChannel

// Door is the socket on which the program speaks to systemd.
type Door struct{ d *door }

// OpenDoor makes one in a directory of its own in base.
func OpenDoor(base string, user *User) (Door, error) {
	d, err := openDoorIn(base, user)
	return Door{d}, err
}

// Path is the socket's.
func (d Door) Path() string { return d.d.path }

// Abandon leaves the files, as the end of a process by a signal does.
func (d Door) Abandon() { _, _ = d.d.socket.Close(), d.d.dir.Close() }

// Remove removes the files.
func (d Door) Remove() { d.d.remove(); _ = d.d.socket.Close() }

// AwaitsSuccessor reports whether a generation of a user's that has ended while it started its successor may have one, to a supervisor that has
// got those signals.
func AwaitsSuccessor(uid int, signals <-chan os.Signal) bool {
	p := processes{generations: &generations{lost: &generation{Number: 1, User: uid}}, signals: signals}
	return p.awaitsSuccessor()
}

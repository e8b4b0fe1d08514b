package supervise

import (
	"fmt"
	"log/slog"
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// Embedded is a supervisor in generation 1 itself, which goes on as that when it has been
// replaced and has drained. It runs no other binary: the program's own code has still to clean up. Its
// methods are safe for concurrent use.
type Embedded struct {
	s      *supervisor
	client *Client
	own    func(syscall.Signal)
	status chan int // of the last generation, once
}

// Embed makes this process, which is generation 1, the supervisor of those that follow. own is called with what
// an older generation is asked to do: it has the PID to which people's signals come, too, so generations do not
// signal it.
func Embed(log *slog.Logger, own func(sig syscall.Signal)) (*Embedded, error) {
	ours, theirs, err := newChannel()
	if err != nil {
		return nil, err
	}
	client, err := NewClient(theirs)
	if err != nil {
		return nil, err
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("supervise: adopt orphans: %w", err)
	}
	s := newSupervisor(&state{Version: protocolVersion}, log)
	s.signals = make(chan os.Signal, 64)
	s.embedded = &Embedded{s: s, client: client, own: own, status: make(chan int, 1)}
	if s.channel, err = newInbox(ours, maxEvent); err != nil {
		return nil, err
	}
	start, _ := process.StartTime(os.Getpid()) // 0 is a valid answer: unknown
	s.Line.Generations = []*generation{{PID: os.Getpid(), StartTime: start, Number: 1, Phase: isBorn}}
	go s.follow(s.channel)
	go s.embedded.run()
	return s.embedded, nil
}

func (m *Embedded) run() {
	m.s.loop()
	if m.s.Line.find(os.Getpid()) != nil {
		m.own(unix.SIGTERM) // it still drains, and the daemon has crashed: nobody serves
	}
	m.status <- m.s.exitStatus()
}

// Client is this generation's end of the channel.
func (m *Embedded) Client() *Client { return m.client }

// Signal passes a signal that this process has got on to the generation that serves.
func (m *Embedded) Signal(sig syscall.Signal) {
	select {
	case m.s.signals <- sig:
	case <-m.s.done:
	}
}

// Drained says that this process is a generation no more, and waits for the end of the last one. It returns
// the status with which that has ended.
func (m *Embedded) Drained() int {
	select {
	case m.s.ends <- end{pid: os.Getpid()}:
	case <-m.s.done:
	}
	return <-m.status
}

// reapKnown collects generations. Other children may be the program's own, which it waits for itself.
func (s *supervisor) reapKnown() {
	for _, g := range slices.Clone(s.Line.Generations) {
		var ws syscall.WaitStatus
		if pid, err := syscall.Wait4(g.PID, &ws, syscall.WNOHANG, nil); err == nil && pid == g.PID {
			s.ended(pid, &ws)
		}
	}
}

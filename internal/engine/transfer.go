package engine

import (
	"log/slog"
	"os"
	"sync"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fault"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/groups"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/handover"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// The names under which the channels for live connections go to the next generation: for those that it takes over, and for those
// that it gives back if it is rolled back.
const (
	fileHandover = "handover"
	fileReturn   = "return"
)

// connections are how live connections come from older generations, and go on.
type connections struct {
	receiver *handover.Receiver
	passing  sync.WaitGroup // the channels from older generations go to the successor
}

// receive begins to take connections from the older generations, once this one serves.
func (c *connections) receive(from *upgrade.Upgrader) error {
	if f := from.File(fileHandover); f != nil {
		return c.receiver.Add(f)
	}
	return nil
}

// moveBack has idle connections move to the previous generation.
func (c *connections) moveBack(to *upgrade.Upgrader, from *groups.Set, log *slog.Logger) {
	f := to.File(fileReturn)
	if f == nil {
		return
	}
	sender, err := handover.NewSender(f)
	if err != nil {
		log.Warn("connections will not move back", "error", err)
		return
	}
	from.MoveIdle(sender)
}

// transfer is what this generation offers to its successor while that starts. One of commit and rollback ends it.
type transfer struct {
	*Engine
	access        map[string]socket.Options // who may use each Unix socket, which the successor may change
	ours, theirs  *os.File                  // the ends of the channel to the successor; nil for none
	back          *handover.Receiver        // of what it gives back if it is rolled back; nil for none
	theirsForBack *os.File
}

// offer has all of it passed on to the next process that is started.
func (t *transfer) offer() {
	t.access = t.groups.Access()
	t.groups.AllowSharing(true)
	t.offerChannel()
	t.offerReturn()
}

// offerChannel makes the channel to the next generation. Without one the upgrade goes on, and connections stay until they end.
func (t *transfer) offerChannel() {
	var err error
	if t.ours, t.theirs, err = handover.Pair(); err != nil {
		t.log.Warn("connections will not move", "error", err)
		return
	}
	t.up.Pass(fileHandover, t.theirs)
}

// offerReturn makes the channel on which the next generation can give connections back. Without probation it needs none.
func (t *transfer) offerReturn() {
	if t.conf.Daemon.Probation <= 0 {
		return
	}
	if err := t.openReturn(); err != nil {
		t.log.Warn("connections will not move back, should the upgrade be rolled back", "error", err)
		return
	}
	t.up.Pass(fileReturn, t.theirsForBack)
}

func (t *transfer) openReturn() error {
	receiver, err := handover.NewReceiver(t.groups.Taker())
	if err != nil {
		return err
	}
	ours, theirs, err := handover.Pair()
	if err != nil {
		return err
	}
	if err := receiver.Add(ours); err != nil {
		_ = theirs.Close()
		return err
	}
	t.back, t.theirsForBack = receiver, theirs
	return nil
}

// end takes back what the successor has copies of. One that has been rolled back has ended, and all that it gave back is here.
func (t *transfer) end() {
	t.groups.AllowSharing(false)
	t.up.Pass(fileHandover, nil)
	t.up.Pass(fileReturn, nil)
	_, _ = t.theirs.Close(), t.theirsForBack.Close() // nil has it return an error
	if t.back != nil {
		t.back.Close()
	}
}

// rollback puts everything back after an upgrade that has failed.
func (t *transfer) rollback() {
	t.end()
	_ = t.ours.Close()
	t.groups.RestoreAccess(t.access)
}

// commit has idle connections move to the successor, and older generations move theirs past this one. What the successor has not
// taken over ends with those who have already connected.
func (t *transfer) commit(dropped []string) {
	t.end()
	if len(dropped) > 0 {
		t.up.EndParentsStandby(relieveWait) // or these sockets would be open in the generation before this one
	}
	t.groups.Drop(dropped)
	sender := t.sender()
	if sender == nil {
		t.conns.receiver.Close()
		return
	}
	t.groups.MoveIdle(sender)
	// It waits for the successor, and this generation must not accept meanwhile.
	over := t.groups.Expect()
	late := time.AfterFunc(2*settledWait, over) // a successor that is stopped takes no channel
	t.conns.passing.Go(func() {
		defer over()
		defer late.Stop()
		fault.At(fault.PassingOn)
		t.conns.receiver.PassOn(sender)
	})
}

// sender is this generation's end of the channel; nil if there is none.
func (t *transfer) sender() *handover.Sender {
	if t.ours == nil {
		return nil
	}
	sender, err := handover.NewSender(t.ours)
	if err != nil {
		t.log.Warn("connections will not move", "error", err)
		return nil
	}
	return sender
}

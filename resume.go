package gozd

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/server"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/supervise"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// A generation that has been replaced stands by as long as it drains: it keeps the listening sockets, which cost nothing, and the lock.
// When its successor dies without having been asked to end, it serves again.

// canResume reports whether the program can take back what it lets go of when it is replaced.
func (d *Daemon) canResume() bool { return d.opts.OnReplaced == nil || d.opts.OnResume != nil }

// standBy waits for what becomes of the successor.
func (d *Daemon) standBy(t *term, next *upgrade.Successor, access map[string]socket.Options) {
	if d.isStopRequested() { // it was asked to end while it was being replaced
		d.resign(t)
		d.endStandby(t)
		return
	}
	select {
	case died := <-next.Fate:
		if died != nil && d.beginResume(t) {
			d.resume(t, died, access)
			return
		}
		d.resign(t)
	case <-d.groupClosed(t):
		d.resign(t)
	case <-t.decided:
	}
}

// groupClosed returns a channel that is closed when the program has closed one of its groups, and has no way to take it again: then
// this generation cannot serve again. The program does so by Server.Shutdown, for one.
func (d *Daemon) groupClosed(t *term) <-chan struct{} {
	if d.opts.OnResume != nil {
		return nil
	}
	closed := make(chan struct{})
	var first sync.Once
	for _, g := range d.order {
		go func() {
			select {
			case <-g.ln.Closed():
				first.Do(func() {
					d.log.Warn("the program has closed a group: this generation would not serve again", "group", g.conf.Name)
					close(closed)
				})
			case <-t.decided:
			}
		}()
	}
	return closed
}

// closedGroup returns a group that the program has closed; "" if there is none.
func (d *Daemon) closedGroup() string {
	for _, g := range d.order {
		if g.isClosed() {
			return g.conf.Name
		}
	}
	return ""
}

func (g *group) isClosed() bool {
	select {
	case <-g.ln.Closed():
		return true
	default:
		return false
	}
}

// standbyTime is how long a generation stands by at least after it has been replaced, also where its connections are gone before:
// a program that fails soon after it has begun to serve, because something else that it needs is missing, leaves nobody without service.
const standbyTime = 3 * time.Second

// standAWhile returns when a generation that stands by has done so for that long, or it is decided what becomes of it.
func (d *Daemon) standAWhile(t *term) {
	d.mu.Lock()
	stands, began := d.phase == standingBy && d.term == t, d.drainage.began
	d.mu.Unlock()
	if !stands {
		return
	}
	timer := time.NewTimer(time.Until(began.Add(standbyTime)))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.decided:
	}
}

func (d *Daemon) isStopRequested() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stopRequested
}

// resign lets go of what this generation has kept to serve again.
func (d *Daemon) resign(t *term) {
	d.mu.Lock()
	stood := d.term == t && d.phase == standingBy
	if stood {
		d.enterLocked(draining)
	}
	d.mu.Unlock()
	if stood {
		d.notifySupervisor(supervise.Event{Kind: supervise.Draining})
		d.endStandby(t)
	}
}

// endStandby gives up the lock and the channel to the successor. Calling it again changes nothing.
func (d *Daemon) endStandby(t *term) {
	d.files.Leave()
	d.up.Resign()
	t.know(nil)
}

// beginResume reports whether this generation may serve again. It does not end from then on before that is decided.
func (d *Daemon) beginResume(t *term) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.term != t || d.phase != standingBy || d.stopRequested {
		return false
	}
	d.enterLocked(resuming)
	return true
}

// errAskedToEnd is why a generation does not serve again that stands by.
var errAskedToEnd = errors.New("it has been asked to end")

// resume has this generation serve again, after its successor has died.
func (d *Daemon) resume(t *term, died error, access map[string]socket.Options) {
	d.log.Error("the successor has died: this generation serves again", "error", died)
	t.skipOnDrain()
	<-t.left
	err := d.retakeLock() // first: the program may take back what a second instance would have
	if err == nil {
		err = d.askResume(t)
	}
	if err == nil {
		err = d.takeUp(t, died, access)
	}
	if err != nil {
		d.log.Error("this generation cannot serve again: nobody serves", "error", err)
		d.mu.Lock()
		d.enterLocked(draining)
		d.last = true
		d.mu.Unlock()
		t.know(died)
		d.notifySupervisor(supervise.Event{Kind: supervise.Draining})
		d.endStandby(t) // the daemon can be started again
		return
	}
	t.know(died)
	d.log.Info("serving again", "failure", died.Error())
}

// retakeLock fails where another instance has the daemon's lock by now: two would run.
func (d *Daemon) retakeLock() error {
	if err := d.files.Retake(); err != nil {
		return err
	}
	d.passLock()
	return nil
}

// takeUp does what has to be done for that. The order is that of becomeReady: the PID file first, the state file last.
func (d *Daemon) takeUp(t *term, died error, access map[string]socket.Options) error {
	d.switching.Lock()
	defer d.switching.Unlock()
	sockets, err := d.reopenSockets()
	if err != nil {
		return err
	}
	if name := d.closedGroup(); name != "" {
		closeSockets(sockets)
		return fmt.Errorf("the program has closed group %s, and has not taken it again", name)
	}
	server.RemoveStale(d.PIDFile())
	if err := d.files.WritePID(); err != nil {
		d.log.Error("PID file not restored", "error", err) // it is tried again
	}
	if !d.nextTerm(t, died) {
		closeSockets(sockets)
		return errAskedToEnd
	}
	for i, g := range d.order {
		if err := g.ln.Resume(sockets[i]); err != nil {
			d.log.Error("the program has closed a group: this generation ends", "group", g.conf.Name, "error", err)
			go d.Quit()
		}
	}
	d.restoreAccess(access)
	d.notifySupervisor(supervise.Event{Kind: supervise.Failed, Text: died.Error()}) // with the sockets, for systemd's store
	close(t.resumed)
	d.reserveFDs()
	d.tickets.Resume()
	if err := d.restoreFiles(); err != nil {
		d.log.Error("PID file not restored", "error", err)
		d.keepWriting()
	}
	go d.keepAlive()
	go d.openControl() // it may have had no room for one before
	return nil
}

// reopenSockets returns listeners on the sockets of all groups, in their order.
func (d *Daemon) reopenSockets() ([]net.Listener, error) {
	var sockets []net.Listener
	for _, g := range d.order {
		ln, err := d.up.Reopen(g.conf.Name)
		if err != nil {
			closeSockets(sockets)
			return nil, err
		}
		sockets = append(sockets, ln)
	}
	return sockets, nil
}

func closeSockets(sockets []net.Listener) {
	for _, ln := range sockets {
		_ = ln.Close()
	}
}

// nextTerm has this generation be one that serves, as if it had never been replaced, unless it has been asked to end.
func (d *Daemon) nextTerm(t *term, died error) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopRequested {
		return false
	}
	d.term = newTerm()
	d.enterLocked(serving)
	d.since = d.entered
	d.why, d.settledNext = "", nil
	d.successor, d.nextStart = 0, 0
	clear(d.forwarded)
	d.drainage = drainage{}
	d.failures++
	d.failure, d.died = died.Error(), died
	return true
}

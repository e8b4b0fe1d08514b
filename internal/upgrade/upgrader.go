package upgrade

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/early"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fault"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/report"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
)

// The names of the files that stay with tableflip.
const (
	fileSender   = "gozd-bootstrap-send"
	fileReceiver = "gozd-bootstrap-receive"
)

// The names of this package's files in the bootstrap message.
const (
	fileReport = "gozd-report" // where the successor reports
	fileAsk    = "gozd-seen"   // a byte asks for the successor's last words; it ends when this process knows how the upgrade went

	fileStandby = "gozd-standby" // the successor's end of the channel to this process, which stands by
	fileOlder   = "gozd-older"   // this process's own such end
)

// Upgrader is this process's place in the line of generations: what it has of its parent, and what it passes on. Each part has
// its own state, and its own lock where it needs one; none knows the Upgrader. Its methods are
// safe for concurrent use.
type Upgrader struct {
	opts       Options
	tf         tableflipUpgrader // nil where tableflip is not supported
	bootstrap  *bootstrapConn
	parent     parent
	outgoing   outgoing
	command    commandLine
	stderr     stderrFile
	succession succession
	upgrading  sync.Mutex // held by Upgrade
}

// IsSuccessor reports whether this process was started by an older generation. It
// says so until New is called.
func IsSuccessor() bool { return early.Successor.Text() != "" }

// New finds out whether this process was started by an older generation, and
// takes over what that one passed on. It can be called once a process. It
// removes tableflip's variable from the environment, so that no process started
// by the program takes it for its own.
//
// Where upgrades are not supported New succeeds, and Upgrade will not. The Upgrader may be there beside an error, with the Report that this
// is to be said in.
func New(opts Options) (u *Upgrader, err error) {
	u = &Upgrader{opts: opts}
	u.setManifest(Manifest{Generation: 1})
	inherits := IsSuccessor()
	if inherits {
		if u.parent.relay, err = newRelay(); err != nil {
			return nil, err
		}
	}
	u.tf, err = newTableflip(opts.killTime())
	if errors.Is(err, ErrNotSupported) {
		return u, nil
	}
	if err != nil {
		return nil, fmt.Errorf("upgrade: %w", err)
	}
	if inherits {
		return u, u.openInherited()
	}
	return u, u.openFirst()
}

// setManifest has each part know which generation this is.
func (u *Upgrader) setManifest(m Manifest) {
	u.parent.manifest, u.outgoing.generation, u.succession.generation = m, m.Generation, m.Generation
}

// openFirst makes the bootstrap channel that all generations will share.
func (u *Upgrader) openFirst() error {
	sender, receiver, err := newBootstrapConn()
	if err != nil {
		return err
	}
	u.stderr.open()
	return u.keepBootstrap(sender, receiver)
}

// openInherited reads the bootstrap message in the parent's bootstrap channel. It has been there since before this process was started.
func (u *Upgrader) openInherited() error {
	sender, receiver, err := inheritedConn(bootstrapDescriptors())
	if err != nil {
		return err
	}
	u.stderr.open()
	if err := u.keepBootstrap(sender, receiver); err != nil {
		return err
	}
	fault.At(fault.BeforeDescriptors)
	l, err := u.bootstrap.receive()
	if l != nil {
		u.parent.take(l)
	}
	if err != nil {
		return err
	}
	u.setManifest(l.manifest)
	return l.manifest.checkNamespaces(process.Namespaces())
}

// keepBootstrap has tableflip pass the bootstrap channel on to every successor, and the file for its standard error. Nothing else ever goes
// that way.
func (u *Upgrader) keepBootstrap(sender, receiver *os.File) error {
	u.bootstrap = &bootstrapConn{sender: sender, receiver: receiver}
	if err := errors.Join(u.tf.AddFile(fileSender, sender), u.tf.AddFile(fileReceiver, receiver)); err != nil {
		return fmt.Errorf("upgrade: bootstrap channel: %w", err)
	}
	if u.stderr.file == nil {
		return nil
	}
	if err := u.tf.AddFile(fileStderr, u.stderr.file); err != nil {
		return fmt.Errorf("upgrade: standard error: %w", err)
	}
	return nil
}

// bootstrapDescriptors returns the two of the inherited files that are not the file for the standard error.
func bootstrapDescriptors() (one, other int) {
	one, other = tableflipFilesFD, tableflipFilesFD+1
	switch early.StderrFile() {
	case one:
		one = other + 1
	case other:
		other++
	}
	return one, other
}

// Supported reports whether this platform can upgrade.
func (u *Upgrader) Supported() bool { return u.tf != nil }

// Manifest returns what the previous generation said. A first generation has
// only its number, 1.
func (u *Upgrader) Manifest() Manifest { return u.parent.manifest }

// Report returns the pipe to the previous generation; nil in a first one.
func (u *Upgrader) Report() *report.Writer { return u.parent.report }

// Late returns a channel that is closed when the previous generation's patience is over: what is not ready then says why, and
// ends, or it is killed. It is nil, and so never ready, in a first generation.
func (u *Upgrader) Late() <-chan struct{} { return u.parent.late }

// ParentExited returns a channel that is closed when the previous generation is
// gone. It is nil, and so never ready, in a first generation.
func (u *Upgrader) ParentExited() <-chan struct{} { return u.parent.exited() }

// AwaitParent waits until the previous generation knows how its upgrade went, or is
// gone. A process that has served calls it before it ends: a parent that gets no
// processor meanwhile would find its successor ready and gone at the same time,
// tableflip takes one of the two at random (doUpgrade in upgrader.go, v1.2.3), and
// the parent would serve on beside the generations that have followed.
func (u *Upgrader) AwaitParent() { u.parent.awaitOutcome() }

// EndParentsStandby has the previous generation not serve again, whatever happens, and waits until it has let go of all that it had kept
// for that, but not longer than within. A generation calls it when it is about to end the daemon, or has dropped a group
// that the previous one had too. Its own successor has done so before, where that serves.
func (u *Upgrader) EndParentsStandby(within time.Duration) { u.parent.behind.relieve(within) }

// File returns a file that the previous generation gave to Pass under that
// name, or nil. It is the caller's to close.
func (u *Upgrader) File(name string) *os.File { return u.parent.file(name) }

// Pass has f given to every successor under that name. It replaces an earlier
// one, and nil takes it back. The file stays the caller's, and must be open
// when Upgrade is called.
func (u *Upgrader) Pass(name string, f *os.File) { u.outgoing.pass(name, f) }

// Inherit returns an inherited socket, and passes it on to
// successors as now describes it, but for ID and Bound. A socket can be taken
// once. One that is not taken is closed by Ready.
func (u *Upgrader) Inherit(old, now Socket) (socket.Socket, error) {
	return u.outgoing.inherit(&u.parent.sockets, old, now)
}

// Kept returns the IDs of the inherited sockets that were taken.
func (u *Upgrader) Kept() []string { return u.parent.kept(u.outgoing.all()) }

// Add has sock passed on to successors as s describes it, but for ID and Bound. The
// socket stays the caller's, and may be closed. Where upgrades are not
// supported Add does nothing.
func (u *Upgrader) Add(s Socket, sock socket.Socket) error {
	if u.tf == nil {
		return nil
	}
	return u.outgoing.add(s, sock)
}

// Reopen returns a group's socket with a descriptor of its own, which this process still holds for its successors: its own has been
// closed when it was replaced.
func (u *Upgrader) Reopen(group string) (socket.Socket, error) { return u.outgoing.reopen(group) }

// SetArguments says with which command line successors are started, the binary's absolute path first. Without it they are
// started with os.Args.
func (u *Upgrader) SetArguments(args []string) { u.command.set(args) }

// Ready tells the parent that this process serves from now on, closes what was
// inherited and not taken, and allows upgrades. Call it once, when nothing can fail any more.
//
// First it says so in the report, so that a parent that learns of the upgrade has all that there is to be known
// of it. The report's end tells it that it need not stay any longer: see Successor.ReportEnded. One byte is what decides, for both at once: a process that ends before has
// failed, and its parent has lost nothing; afterwards the parent is on its way out, and at most stands by. It is tableflip's byte to a parent that does not.
//
// A parent that cannot be told is dead, since one that gave up on this process
// would have killed it: then this process carries on alone.
func (u *Upgrader) Ready() {
	if u.tf == nil {
		return
	}
	u.parent.report.Serving(u.Kept())
	u.succession.markReady()
	fault.At(fault.Reported)
	u.stderr.copyFrom(early.RestoreStderr(!u.parent.lives())) // a parent that lives writes on what is there already
	_ = u.tf.Ready()                                          // that it cannot write is an error, and what it writes goes to nobody
	u.parent.notifyReady()
}

// Next returns the number of the next generation that this one starts.
func (u *Upgrader) Next() int { return u.succession.next() }

// Stop ends an upgrade in progress, whose process is killed, and refuses later
// ones. A successor that has taken over is not killed.
func (u *Upgrader) Stop() {
	if u.tf == nil {
		return
	}
	if u.succession.stop() {
		u.tf.Stop()
	}
	u.EndStandby()
}

// EndStandby says that this process will not serve again, and lets go of the listening sockets, of which it has none of
// its own any more. The successor learns of it. It is for a process that has been replaced, and may be called more than once.
func (u *Upgrader) EndStandby() {
	channel := u.succession.endStandby()
	u.outgoing.held.close()
	channel.release() // last: it says that all of that is done
}

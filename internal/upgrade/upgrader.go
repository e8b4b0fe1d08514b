package upgrade

import (
	"errors"
	"fmt"
	"math"
	"os"
	"sync"
	"time"

	"github.com/cloudflare/tableflip"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/early"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fault"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/report"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tickets"
)

// DefaultTimeout is used where Options.Timeout is zero.
const DefaultTimeout = time.Minute

// Options configure an [Upgrader]. The zero value is valid.
type Options struct {
	// Timeout is how long a successor may take to become ready. If zero or
	// negative, DefaultTimeout is used.
	Timeout time.Duration

	// Probation is how long a successor may serve beside this process before it
	// is ready, and Verdict how long it may take from then on until it is, or has
	// ended. If Probation is zero, it must be ready within Timeout.
	Probation, Verdict time.Duration

	// StandBy has this process stand by behind its successors: when one dies that has taken over, see Successor.Fate, this
	// process can serve and be upgraded again. It has no effect where the successor's process could not be found, other
	// than Linux.
	StandBy bool
}

func (o *Options) standsBy() bool { return o.StandBy && process.FindsChildren }

// never is a time limit for tableflip that is none: it would kill a successor that serves.
const never = time.Duration(math.MaxInt64)

// killTime is when tableflip kills a successor. Where this process stands by, it does so itself.
func (o *Options) killTime() time.Duration {
	if o.standsBy() {
		return never
	}
	return o.limit() + wordsWait
}

// limit is the longest that an upgrade takes.
func (o *Options) limit() time.Duration {
	if o.Probation <= 0 {
		return o.timeout()
	}
	return o.timeout() + o.Probation + o.Verdict
}

func (o *Options) timeout() time.Duration {
	if o.Timeout <= 0 {
		return DefaultTimeout
	}
	return o.Timeout
}

// wordsWait is how long a successor whose time is over may take to say why it is not ready, before it is killed. It has been
// asked for that, and only a machine that is very busy needs more than a moment.
const wordsWait = 5 * time.Second

// The names of the files that stay with tableflip.
const (
	fileSender   = "gozd-bootstrap-send"
	fileReceiver = "gozd-bootstrap-receive"
	fileSaid     = "gozd-report" // in the bootstrap message: where the successor reports
	fileSeen     = "gozd-seen"   // in the bootstrap message: a byte asks for the successor's last words; it ends when this process knows how the upgrade went

	fileStandby = "gozd-standby" // in the bootstrap message: the successor's end of the channel to this process, which stands by
	fileOlder   = "gozd-older"   // in the bootstrap message: this process's own such end
)

// Upgrader is this process's place in the line of generations. Its methods are
// safe for concurrent use.
type Upgrader struct {
	opts      Options
	tf        *tableflip.Upgrader // nil where tableflip is not supported
	bootstrap *bootstrapConn
	stderr    *os.File // see fileStderr; nil for none
	relay     *relay   // nil in a first generation
	manifest  Manifest
	report    *report.Writer
	args      []string            // see SetArguments
	seen      chan struct{}       // closed when the parent knows how its upgrade went; nil in a first generation
	late      chan struct{}       // closed when the parent's patience is over; nil in a first generation
	files     map[string]*os.File // received from the parent

	inherited held     // sockets that nobody has taken yet
	held      held     // those that are passed on
	older     *os.File // the channel to who stands by behind the parent; nil for nobody

	upgrading sync.Mutex // held by Upgrade

	mu      sync.Mutex // guards what follows
	sockets []Socket   // to be passed on
	nextID  int
	pass    map[string]*os.File
	pidfile string
	tickets []tickets.Secret
	shadows map[string][]byte
	history History
	managed bool
	storing bool
	ready   bool
	last    int           // the newest generation that has taken over from this one; 0 for none
	stopped bool          // Stop was called
	offered *standby      // of the upgrade in progress; nil without one
	spared  bool          // its successor had taken over when Stop was called
	pending bool          // tableflip waits for a successor that has taken over: it must not be stopped
	standby *standby      // behind the successor; nil if this process does not stand by
	copier  *stderrCopier // nil where a successor copies, or nobody
	behind  *behind       // who stands by behind this process; nil for nobody
}

// IsSuccessor reports whether this process was started by an older generation. It
// says so until New is called.
func IsSuccessor() bool { return early.Successor.Text() != "" }

// New finds out whether this process was started by an older generation, and
// takes over what that one passed on. It can be called once a process. It
// removes tableflip's variable from the environment, so that no process started
// by the program takes it for its own.
//
// Where upgrades are not supported New succeeds, and Upgrade will not.
func New(opts Options) (*Upgrader, error) {
	u := &Upgrader{opts: opts, manifest: Manifest{Generation: 1}, pass: make(map[string]*os.File)}
	inherits := IsSuccessor()
	if inherits {
		if err := u.standBetween(); err != nil {
			return nil, err
		}
	}
	tf, err := newTableflip(tableflip.Options{UpgradeTimeout: opts.killTime()})
	if errors.Is(err, tableflip.ErrNotSupported) {
		return u, nil
	}
	if err != nil {
		return nil, fmt.Errorf("upgrade: %w", err)
	}
	u.tf = tf
	if inherits {
		return u, u.openInherited()
	}
	return u, u.openFirst()
}

// newTableflip has tableflip see in the environment what was there when this process was started, and nothing of it later.
func newTableflip(opts tableflip.Options) (*tableflip.Upgrader, error) {
	mark := early.Successor.Take()
	if mark != "" {
		if err := os.Setenv(early.SuccessorEnv, mark); err != nil {
			return nil, err
		}
		defer func() { _ = os.Unsetenv(early.SuccessorEnv) }()
	}
	return tableflip.New(opts)
}

func (u *Upgrader) standBetween() (err error) {
	u.relay, err = newRelay()
	return err
}

// openFirst makes the bootstrap channel that all generations will share.
func (u *Upgrader) openFirst() error {
	sender, receiver, err := newBootstrapConn()
	if err != nil {
		return err
	}
	u.openStderr()
	return u.keepBootstrap(sender, receiver)
}

// keepBootstrap has tableflip pass the bootstrap channel on to every successor, and the file for its standard error. Nothing else ever goes
// that way.
func (u *Upgrader) keepBootstrap(sender, receiver *os.File) error {
	u.bootstrap = &bootstrapConn{sender: sender, receiver: receiver}
	if err := errors.Join(u.tf.AddFile(fileSender, sender), u.tf.AddFile(fileReceiver, receiver)); err != nil {
		return fmt.Errorf("upgrade: bootstrap channel: %w", err)
	}
	if u.stderr == nil {
		return nil
	}
	if err := u.tf.AddFile(fileStderr, u.stderr); err != nil {
		return fmt.Errorf("upgrade: standard error: %w", err)
	}
	return nil
}

// openInherited reads the bootstrap message in the parent's bootstrap channel. It has been there since before this process was started.
func (u *Upgrader) openInherited() error {
	sender, receiver, err := inheritedConn(bootstrapDescriptors())
	if err != nil {
		return err
	}
	u.openStderr()
	if err := u.keepBootstrap(sender, receiver); err != nil {
		return err
	}
	fault.At(fault.BeforeDescriptors)
	l, err := u.bootstrap.receive()
	if err != nil {
		return err
	}
	u.manifest, u.files, u.inherited.fds = l.manifest, l.files, l.sockets.fds
	u.takeStandby()
	if said := l.files[fileSaid]; said != nil {
		delete(l.files, fileSaid)
		u.report = report.NewWriter(said)
	}
	if f := l.files[fileSeen]; f != nil {
		delete(l.files, fileSeen)
		u.seen, u.late = make(chan struct{}), make(chan struct{})
		go u.watchParent(f)
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

// takeStandby takes what concerns those who stand by out of the bootstrap message.
func (u *Upgrader) takeStandby() {
	u.older = u.files[fileOlder]
	if f := u.files[fileStandby]; f != nil {
		u.behind = openBehind(f)
		u.relay.forget()
		go u.watchBehind()
	}
	delete(u.files, fileOlder)
	delete(u.files, fileStandby)
}

// watchBehind lets go of the channel when nobody stands by any more. An upgrade in progress may be passing it on.
func (u *Upgrader) watchBehind() {
	u.behind.watch()
	u.upgrading.Lock()
	defer u.upgrading.Unlock()
	u.mu.Lock()
	defer u.mu.Unlock()
	_ = u.behind.conn.Close()
	u.behind = nil
}

// watchParent waits for the end of f, which is the parent's knowledge or its own end. A byte
// before that says that it will wait only a moment longer.
func (u *Upgrader) watchParent(f *os.File) {
	buf := make([]byte, 1)
	for asked := false; ; asked = true {
		if n, err := f.Read(buf); n == 0 || err != nil {
			break
		}
		if !asked {
			close(u.late)
		}
	}
	_ = f.Close()
	close(u.seen)
}

// Late returns a channel that is closed when the previous generation's patience is over: what is not ready then says why, and
// ends, or it is killed. It is nil, and so never ready, in a first generation.
func (u *Upgrader) Late() <-chan struct{} { return u.late }

// Supported reports whether this platform can upgrade.
func (u *Upgrader) Supported() bool { return u.tf != nil }

// Manifest returns what the previous generation said. A first generation has
// only its number, 1.
func (u *Upgrader) Manifest() Manifest { return u.manifest }

// Report returns the pipe to the previous generation; nil in a first one.
func (u *Upgrader) Report() *report.Writer { return u.report }

// File returns a file that the previous generation gave to Pass under that
// name, or nil. It is the caller's to close.
func (u *Upgrader) File(name string) *os.File {
	u.mu.Lock()
	defer u.mu.Unlock()
	f := u.files[name]
	delete(u.files, name)
	return f
}

// Pass has f given to every successor under that name. It replaces an earlier
// one, and nil takes it back. The file stays the caller's, and must be open
// when Upgrade is called.
func (u *Upgrader) Pass(name string, f *os.File) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if f == nil {
		delete(u.pass, name)
		return
	}
	u.pass[name] = f
}

// SetPIDFile has successors told which PID file this generation has.
func (u *Upgrader) SetPIDFile(path string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.pidfile = path
}

// SetTickets has successors given the secrets of TLS session tickets.
func (u *Upgrader) SetTickets(secrets []tickets.Secret) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.tickets = secrets
}

// SetShadowed has successors told which variables of the environment are not to be
// taken for inherited; see [Manifest].
func (u *Upgrader) SetShadowed(before map[string][]byte) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.shadows = before
}

// SetManaged has successors told whether the supervisor speaks to systemd, and whether this generation
// wants sockets to be kept by that.
func (u *Upgrader) SetManaged(managed, storing bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.managed, u.storing = managed, storing
}

// SetHistory has the next successor told what was tried before it, the attempt that starts it
// included.
func (u *Upgrader) SetHistory(h History) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.history = h
}

// Ready tells the parent that this process serves from now on, closes what was
// inherited and not taken, and allows upgrades. Call it once, when nothing can fail any more.
//
// First it says so in the report, so that a parent that learns of the upgrade has all that there is to be known
// of it. The report's end tells it that it need not stay any longer: see Successor.Settled. One byte is what decides, for both at once: a process that ends before has
// failed, and its parent has lost nothing; afterwards the parent is on its way out, and at most stands by. It is tableflip's byte to a parent that does not.
//
// A parent that cannot be told is dead, since one that gave up on this process
// would have killed it: then this process carries on alone.
func (u *Upgrader) Ready() {
	if u.tf == nil {
		return
	}
	u.report.Serving(u.Kept())
	u.mu.Lock()
	u.ready = true
	u.mu.Unlock()
	fault.At(fault.Reported)
	u.copyStderr(early.RestoreStderr(u.relay == nil || u.isOrphan())) // a parent that lives writes on what is there already
	_ = u.tf.Ready()                                                  // that it cannot write is an error, and what it writes goes to nobody
	if u.relay == nil {
		return
	}
	if b := u.standsBehind(); b != nil {
		b.say(saysTookOver)
	} else {
		u.relay.tell()
	}
	u.relay.release()
	u.inherited.close(none)
	if u.older != nil {
		_, _ = u.older.Write([]byte{saysRelieved})
		_ = u.older.Close()
	}
}

func (u *Upgrader) isOrphan() bool {
	select {
	case <-u.relay.exited:
		return true
	default:
		return false
	}
}

func (u *Upgrader) isReady() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.ready
}

// ParentExited returns a channel that is closed when the previous generation is
// gone. It is nil, and so never ready, in a first generation.
func (u *Upgrader) ParentExited() <-chan struct{} {
	if u.relay == nil {
		return nil
	}
	return u.relay.exited
}

// AwaitParent waits until the previous generation knows how its upgrade went, or is
// gone. A process that has served calls it before it ends: a parent that gets no
// processor meanwhile would find its successor ready and gone at the same time,
// tableflip takes one of the two at random (doUpgrade in upgrader.go, v1.2.3), and
// the parent would serve on beside the generations that have followed.
func (u *Upgrader) AwaitParent() {
	if u.seen == nil {
		return
	}
	timer := time.NewTimer(u.manifest.Timeout) // later it has given up
	defer timer.Stop()
	select {
	case <-u.seen:
	case <-timer.C:
	}
}

// Next returns the number of the next generation that this one starts.
func (u *Upgrader) Next() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.nextLocked()
}

// nextLocked is no number that a generation has had which has taken over.
func (u *Upgrader) nextLocked() int { return max(u.manifest.Generation, u.last) + 1 }

// Stop ends an upgrade in progress, whose process is killed, and refuses later
// ones. A successor that has taken over is not killed.
func (u *Upgrader) Stop() {
	if u.tf == nil {
		return
	}
	u.mu.Lock()
	u.stopped = true
	u.spared = u.offered.hasTaken()
	keep := u.pending || u.spared
	u.mu.Unlock()
	if !keep {
		u.tf.Stop()
	}
	u.Resign()
}

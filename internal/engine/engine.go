// Package engine is the life of one generation: it takes its groups, becomes ready, is upgraded, drains and ends. Package gozd is its face.
// docs/architecture.md has the phases, and all the steps from one to another; phase.go has them as a table.
package engine

import (
	"crypto/tls"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/early"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/handover"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/report"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/runfiles"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/supervise"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tickets"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// Engine is one generation of a daemon: the sockets of its groups, and its way
// from the start to the exit. Its methods are safe for concurrent use. There can
// be one in a process.
type Engine struct {
	opts       Options
	endProcess bool // see New
	log        *slog.Logger
	logging    bool   // log is set up
	binary     string // absolute
	conf       *config.Config
	up         *upgrade.Upgrader
	files      *runfiles.Files
	created    []upgrade.Socket  // sockets that this process has made, and not inherited
	super      *supervise.Client // nil without a supervisor
	onTerminal bool              // it was started on one
	managed    bool              // the supervisor speaks to systemd
	watcher    string            // who watches this process, which has no supervisor; "" for nobody
	report     *report.Writer    // to whoever started this process; may be nil

	gate     chan struct{} // closed when this generation is ready: Accept begins
	release  chan struct{} // closed when Accept may return to a program that is to end
	exit     chan struct{}
	signals  chan os.Signal // until watchSignals
	upgrades chan struct{}  // has a value when wanted may be true
	settled  chan struct{}  // closed when becomeReady has done all that it does, or has failed
	done     chan struct{}  // closed when the generation has nothing left to do

	fds      process.Reserve   // descriptors for upgrades
	shadowed map[string][]byte // what env_file has replaced in the environment

	tickets  *tickets.Rotator   // of the secrets of TLS sessions; nil without any
	receiver *handover.Receiver // of connections from older generations
	control  controlSocket

	upgrading sync.Mutex     // held by Upgrade
	asking    chan struct{}  // has a value while OnUpgrade runs
	reopening sync.Mutex     // held by reopen
	passing   sync.WaitGroup // the channels from older generations go to the successor
	switching sync.Mutex     // held while listeners stop to accept, and while they resume

	groups map[string]*group // complete when New returns, like order
	order  []*group          // as in the configuration

	mu             sync.Mutex // guards what follows, and used and open of the groups
	term           *term
	phase          phase
	entered        time.Time       // when it was entered
	why            reason          // of leaving
	hurried        bool            // it ends under stop_timeout
	stopRequested  bool            // it has been asked to end, and will not serve again
	successor      int             // PID of the next generation, once it serves
	nextStart      uint64          // its start time; 0 if unknown
	settledNext    <-chan struct{} // closed when everybody can know of it; nil before
	failures       int             // upgrades that failed
	failure        string          // why the last one did
	last           bool            // its successor has died, and it cannot serve again: nobody else removes the files
	died           error           // of the last successor that died, so that this generation serves again
	reopened       bool            // the log has been reopened since the last upgrade began
	since          time.Time
	wanted         bool               // an upgrade has been asked for by a signal, and has not begun
	forwarded      map[os.Signal]bool // what forwardToSuccessor has passed on
	watched        []chan os.Signal   // of each kind of signal; see watchSignal
	attempt        *attempt           // the upgrade in progress; nil if there is none
	drainage       drainage
	candidate      *candidate    // of the successor; nil if there is none
	candidateOver  chan struct{} // closed when its probation is over
	probationUntil time.Time     // the end of this generation's own
	upgradePassed  bool          // an upgrade of this generation has succeeded
	lastSeconds    *float64      // that the last upgrade took which succeeded; nil if there was none
	err            error
	deadline       *time.Timer // for becoming ready
}

// group is one group of the configuration with its socket.
type group struct {
	conf  *config.Group
	ln    *listener.Listener
	face  net.Listener // what the program gets: ln, or TLS around it
	tls   *tls.Config  // of face; nil without TLS
	own   bool         // its socket is not inherited
	bound bool         // nobody can connect yet: see listenOnAll
	used  bool         // the program has taken it
	open  bool         // it is being accepted on

	file fs.FileInfo // of a Unix socket, as it was when this process took the socket; nil if there was none

	activated bool   // systemd has the socket too, and keeps it
	stored    string // the name under which systemd is to keep it; "" if it is not
}

// made says that this process has made a Daemon. A second one would have the first one's descriptors and signals, and a
// process that was detached would detach again, and so on.
var made atomic.Bool

// Made reports whether this process has made an Engine.
func Made() bool { return made.Load() }

// New makes this process a generation. With endProcess a process whose program does not take notice of its end exits by itself,
// and an error has been printed: it is ErrPrinted. When there is an error, nothing is left behind.
func New(opts Options, endProcess bool) (*Engine, error) {
	if made.Swap(true) {
		return nil, ErrSecond
	}
	e := &Engine{
		onTerminal: supervise.OnTerminal() && supervise.HasTerminal(),
		opts:       opts,
		log:        opts.Logger,
		endProcess: endProcess,
		gate:       make(chan struct{}),
		release:    make(chan struct{}),
		exit:       make(chan struct{}),
		signals:    early.Generation,
		upgrades:   make(chan struct{}, 1),
		settled:    make(chan struct{}),
		done:       make(chan struct{}),
		asking:     make(chan struct{}, 1),
		groups:     make(map[string]*group),
		forwarded:  make(map[os.Signal]bool),
		entered:    processBegan,
		term:       newTerm(),
	}
	early.CatchGeneration() // before anything slow: a signal that comes too early must wait, not kill
	stage, err := e.start()
	if err != nil {
		signal.Stop(e.signals)
		e.report.Fail(stage, err)
		e.abandon()
		early.RestoreStderr(false) // whoever waits for this process writes on what it has written
		if endProcess {
			e.printFailure(stage, err)
			err = ErrPrinted
		}
		return nil, err
	}
	e.watchSignals()
	go e.watchUpgrades()
	go e.watchSupervisor()
	return e, nil
}

// Exit returns the channel that asks the program to end. It delivers one value
// when this generation has nothing left to do, waits at most a second for it to
// be received, and is closed then. A second later Accept on the group's listeners
// returns, so that what waits for a Serve to return can end too.
func (e *Engine) Exit() <-chan struct{} { return e.exit }

// Err returns why this generation ended, once Exit is closed: nil after an
// upgrade or a stop, and otherwise the reason for which it never became ready.
func (e *Engine) Err() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}

// Generation returns the number of this process in the line of generations,
// from 1.
func (e *Engine) Generation() int { return e.up.Manifest().Generation }

// PIDFile returns the absolute path of the PID file.
func (e *Engine) PIDFile() string { return e.conf.Daemon.PIDFile }

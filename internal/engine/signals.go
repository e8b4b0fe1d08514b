package engine

import (
	"log/slog"
	"os"
	"os/signal"
	"sync"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/early"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/peers"
)

// signals are those that this generation handles.
type signals struct {
	life *life
	log  *slog.Logger

	mu        sync.Mutex         // guards what follows
	watched   []chan os.Signal   // of each kind of signal
	forwarded map[os.Signal]bool // what has been passed on to the successor
}

// watch handles one kind of signal in a goroutine of its own. There is a place for one that waits: any number of them that
// come while one is handled are one more, and a stop is not lost among them, nor does it wait for the program's OnReopen.
func (s *signals) watch(sig os.Signal, act func(os.Signal)) {
	waiting := make(chan os.Signal, 1)
	signal.Notify(waiting, sig)
	s.mu.Lock()
	s.watched = append(s.watched, waiting)
	s.mu.Unlock()
	go func() {
		for sig := range waiting {
			act(sig)
		}
	}()
}

// stop ends what watch has begun.
func (s *signals) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, waiting := range s.watched {
		signal.Stop(waiting)
		close(waiting)
	}
	s.watched = nil
}

// isFirst reports whether a signal has not been passed on before, and notes that it is now.
func (s *signals) isFirst(sig os.Signal) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.forwarded[sig] {
		return false
	}
	if s.forwarded == nil {
		s.forwarded = make(map[os.Signal]bool)
	}
	s.forwarded[sig] = true
	return true
}

// forget begins anew: there will be another successor.
func (s *signals) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.forwarded)
}

// begin begins to handle signals. It goes on until the process ends: an old generation that drains must still hear
// that it should hurry.
func (s *signals) begin(act func(os.Signal)) {
	for _, sig := range early.Handled {
		s.watch(sig, act)
	}
	signal.Stop(early.Generation)
	for {
		select {
		case sig := <-early.Generation: // it has come before
			act(sig)
		default:
			return
		}
	}
}

// warnOfIgnored says which signals do not reach this generation, since the program has called signal.Ignore. What a program does
// by signal.Reset or by a handler of its own cannot be seen.
func warnOfIgnored(log *slog.Logger) {
	for _, sig := range early.Handled {
		if signal.Ignored(sig) {
			log.Warn("the program ignores a signal: the daemon cannot be asked by it", "signal", sig.String())
		}
	}
}

// act does what a signal asks this generation to do.
func (e *Engine) act(sig os.Signal) {
	switch sig {
	case sigUpgrade:
		switch {
		case e.super.lostTerminal():
			e.Stop()
		case e.life.drains():
			e.signals.forwardToSuccessor(sig)
		default:
			e.signals.note("upgrade")
			e.attempts.request()
		}
	case sigStop, os.Interrupt:
		e.signals.note("stop")
		e.Stop()
	case sigQuit:
		if e.life.drains() {
			e.signals.forwardToSuccessor(sig)
		}
		if !e.life.drains() || e.life.standsBy() { // the successor may be gone
			e.signals.note("quit")
			e.Quit()
		}
	case sigReopen:
		meant := e.life.isReplacedNow() && e.files.logfile.isMoved() // for the daemon
		_ = e.reopen()                                               // it has been logged
		if meant {
			e.signals.forwardToSuccessor(sig)
		}
	case sigRollback:
		go probation{e}.rollBack(rollbackAsked, errRolledBack)
	}
}

// note logs what a signal asks of the daemon. One that starts has no log yet, and one that drains hears what others were asked.
func (s *signals) note(action string) {
	if s.life.is(serving) {
		s.log.Info("asked by a signal", "action", action)
	}
}

// forwardToSuccessor passes on what was meant for the generation that serves: whoever asks has read the PID file a moment too
// early. A stop is not passed on: it may be a newer generation that hurries this one. Each signal is passed on once in this
// generation's life, or a HUP from a terminal, which goes to all processes, would come to the newest one from each of them.
func (s *signals) forwardToSuccessor(sig os.Signal) {
	switch {
	case s.life.replacedBy() == nil:
		s.log.Warn("signal has no effect: this generation has been asked to end", "signal", sig.String())
	case s.isFirst(sig):
		s.life.signalSuccessor(sig)
	}
}

// signalSuccessor signals the successor, if there is one.
func (l *life) signalSuccessor(sig os.Signal) {
	if next := l.replacedBy(); next != nil {
		signalPeer(l.log, *next, sig)
	}
}

// signalPeer signals another generation, if it is still there.
func signalPeer(log *slog.Logger, p peers.Peer, sig os.Signal) {
	if err := p.Signal(sig); err != nil {
		log.Warn("generation not signalled", "peer", p.PID, "signal", sig.String(), "error", err)
	}
}

package faults

import (
	"errors"
	"os"
	"strings"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control"
	points "bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fault"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loadtest"
)

// hear checks that who asked for the upgrade is told the truth, and returns the words.
func (c *cell) hear(expected outcome) string {
	c.t.Helper()
	a := <-c.asked // it has a time limit of its own
	if errors.Is(a.err, control.ErrUnknownOutcome) {
		c.t.Errorf("who asked is told: %v", a.err)
	}
	refusal := new(control.FailedError)
	switch expected {
	case upgraded:
		if a.err != nil {
			c.t.Fatalf("who asked is told %q, but the upgrade has succeeded", a.err)
		}
		if a.up.Old.PID != c.before.PID || a.up.New.Generation != 2 && !c.again {
			c.t.Errorf("who asked is told that pid %d is replaced by generation %d", a.up.Old.PID, a.up.New.Generation)
		}
	case failed:
		if !errors.As(a.err, &refusal) || refusal.PID != c.before.PID {
			c.t.Fatalf("who asked is told %v, want a failure that pid %d outlives", a.err, c.before.PID)
		}
	case resumed: // he may have been told before that the child served, which it did
		if a.err != nil && (!errors.As(a.err, &refusal) || refusal.PID != c.before.PID) {
			c.t.Fatalf("who asked is told %v, want a failure that pid %d outlives", a.err, c.before.PID)
		}
		if c.step.point == points.TookOver && a.err == nil {
			c.t.Error("who asked is told that the child serves, which nobody could know before it was killed")
		}
	case down:
		if c.step.before(points.HandingOver) && !errors.Is(a.err, process.ErrNotRunning) {
			c.t.Errorf("who asked is told %v, want %v", a.err, process.ErrNotRunning)
		}
	case ended:
		if a.err != nil && !errors.Is(a.err, process.ErrNotRunning) && !errors.Is(a.err, os.ErrProcessDone) {
			c.t.Errorf("who asked is told %v, want that it has ended", a.err)
		}
	}
	return words(a)
}

// revive starts the daemon again, after its serving generation was killed.
func (c *cell) revive() {
	c.t.Helper()
	if r, err := process.Find(c.d.PIDFile); err == nil {
		c.t.Errorf("pid %d seems to serve", r.PID)
		r.Close()
	}
	c.crew.leave()
	before := c.crew.all()
	if err := c.d.Start(c.t.Context()); err != nil {
		c.t.Fatalf("start again: %v", err)
	}
	c.board() // it has other ports
	c.earlier = before
}

// wantNamed checks that PID file and lock name the generation that serves, and that
// a new client is served.
func (c *cell) wantNamed(expected outcome) {
	c.t.Helper()
	r := c.find()
	defer r.Close()
	switch expected {
	case upgraded:
		if child := c.pids[child]; child != 0 && r.PID != child && !c.again {
			c.t.Errorf("pid %d serves, want %d", r.PID, child)
		}
	case failed, resumed:
		if r.PID != c.before.PID {
			c.t.Errorf("pid %d serves, want %d", r.PID, c.before.PID)
		}
	}
	client := loadtest.DialKeepAlive(c.t, daemontest.Target(c.t, c.d, "web"))
	client.Get() // whoever: the parent may have accepted it just before it stopped
	client.Close()
}

// find returns the generation that the lock and the state file name, which must be the one
// that the PID file names too. Where more upgrades than one have been asked for it may be
// replaced just now: then it is waited for that they agree.
func (c *cell) find() *process.Running {
	c.t.Helper()
	for deadline := time.Now().Add(cellPatience); ; time.Sleep(time.Millisecond) {
		r, err := process.Find(c.d.PIDFile)
		pid, pidErr := process.ReadPID(c.d.PIDFile)
		if err == nil && pid == r.PID {
			return r
		}
		if !c.again || time.Now().After(deadline) {
			c.t.Fatalf("the PID file names %d, %v; lock and state file %+v, %v", pid, pidErr, r, err)
		}
		if err == nil {
			r.Close()
		}
	}
}

// upgradeAgain checks that the next upgrade succeeds.
func (c *cell) upgradeAgain(expected outcome) {
	c.t.Helper()
	before, err := c.d.State()
	if err != nil {
		c.t.Fatal(err)
	}
	up, err := c.d.Upgrade(c.t.Context())
	if err != nil {
		c.t.Fatalf("the next upgrade: %v", err)
	}
	next := before.Generation + 1
	if expected == resumed {
		next++ // the child had that number
	}
	if !c.again && (up.New.Generation != next || up.Old.PID != before.PID) {
		c.t.Errorf("pid %d, generation %d, has replaced pid %d, want generation %d and pid %d",
			up.New.PID, up.New.Generation, up.Old.PID, next, before.PID)
	}
}

// judge checks that no client has lost anything that it need not, and says what they
// have seen.
func (c *cell) judge() string {
	c.t.Helper()
	cut, refused, waited := 0, 0, time.Duration(0)
	for _, e := range append(c.earlier, c.crew.all()...) {
		waited = max(waited, e.end.Sub(e.begun))
		switch {
		case e.err == nil:
		case c.doomed[e.port]:
			cut++
		case c.mayBeRefused(e):
			refused++
		default:
			c.t.Errorf("%s, port %d: a request sent at %v is lost at %v: %v; the daemon need not serve from %v on",
				e.kind, e.port, e.sent.Format(logTime), e.end.Format(logTime), e.err, c.since.Format(logTime))
		}
	}
	if !c.since.IsZero() && !c.killed {
		return "answered" // and refused then, those who came so late
	}
	var seen []string
	if c.pauses && waited >= pauseLength()*8/10 {
		seen = append(seen, "waited")
	}
	if cut > 0 {
		seen = append(seen, "its own cut")
	}
	if refused > 0 {
		seen = append(seen, "refused")
	}
	if seen == nil {
		return "nothing"
	}
	return strings.Join(seen, ", ")
}

// mayBeRefused reports whether nobody had to answer: the daemon was down, or it was asked to
// end before the request had been sent.
func (c *cell) mayBeRefused(e exchange) bool {
	if c.since.IsZero() || !e.end.After(c.since) || c.safe[e.port] {
		return false
	}
	return e.sent.IsZero() || e.sent.After(c.since) || c.killed
}

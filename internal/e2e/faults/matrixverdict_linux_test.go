package faults

import (
	"errors"
	"strings"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	points "bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fault"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loadtest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// hear checks that whoever asked for the upgrade is told what has become of it, and returns the words.
func (c *cell) hear(expected outcome) string {
	c.t.Helper()
	a := <-c.asked // it has a time limit of its own
	failed := new(client.UpgradeError)
	switch {
	case a.err == nil:
		c.wantUpgraded(a.up, expected)
	case errors.As(a.err, &failed):
		c.wantFailure(failed, expected)
	case isDown(a.err):
		if expected != down && expected != ended {
			c.t.Errorf("the asker is told that nobody serves: %v; the daemon has %s", a.err, expected)
		}
	default:
		c.t.Errorf("the asker is not told the outcome: %v", a.err)
	}
	return words(a)
}

// isDown reports whether an error says that nobody serves, or that the generation that was asked will not any more.
func isDown(err error) bool {
	refused := new(client.AnswerError)
	return errors.Is(err, process.ErrNotRunning) || errors.As(err, &refused) && refused.Answer.Code == protocol.CodeNotServing
}

// wantUpgraded checks what the asker of a successful upgrade is told. The child serves then, or has served: it may have
// been killed or asked to end since.
func (c *cell) wantUpgraded(up *client.Upgraded, expected outcome) {
	c.t.Helper()
	switch {
	case expected == failed, expected == down:
		c.t.Errorf("the asker is told that pid %d serves; the daemon has %s", up.Served.PID, expected)
	case expected == resumed && c.step.point == points.TookOver:
		c.t.Error("the asker is told that the child serves, which nobody could know before it was killed")
	case expected == ended:
		c.awaitLog("msg=serving generation=2")
	}
	if c.again { // another generation may have come since, by one of the other requests
		return
	}
	if child := c.pids[child]; up.OldPID != c.before.PID || up.Served.Generation != 2 || child != 0 && up.Served.PID != child {
		c.t.Errorf("the asker is told that pid %d, generation %d, replaces pid %d; want pid %d, generation 2, and pid %d",
			up.Served.PID, up.Served.Generation, up.OldPID, child, c.before.PID)
	}
	if expected == upgraded {
		r := c.find()
		defer r.Close()
		if r.PID != up.Served.PID || r.State.StartTime != up.Served.StartTime {
			c.t.Errorf("the asker is told that pid %d serves, and pid %d does", up.Served.PID, r.PID)
		}
	}
}

// wantFailure checks what the asker of an upgrade that has failed is told: that the parent serves on or again, that nobody serves, or that
// the upgrade was given up for a stop.
func (c *cell) wantFailure(told *client.UpgradeError, expected outcome) {
	c.t.Helper()
	is := failed
	switch told.Stage {
	case "":
		is = ended
	case upgrade.StageServing:
		is = resumed
	case upgrade.StageLost: // nobody serves, as with an error that isDown
		if told.By == 0 && (expected == down || expected == ended) {
			is = expected
		}
	}
	if is != expected || told.PID != c.before.PID {
		c.t.Errorf("the asker of pid %d is told: %v; the daemon has %s, and pid %d was asked", told.PID, told, expected, c.before.PID)
	}
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
// replaced just now, and where files could not be written they come when there is room: then it is waited for that
// they agree.
func (c *cell) find() *process.Running {
	c.t.Helper()
	for deadline := time.Now().Add(cellPatience); ; time.Sleep(time.Millisecond) {
		r, err := process.Find(c.d.PIDFile)
		pid, pidErr := process.ReadPID(c.d.PIDFile)
		if err == nil && pid == r.PID {
			return r
		}
		if !c.again && !c.scarce || time.Now().After(deadline) {
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
	if !c.again && (up.Served.Generation != next || up.OldPID != before.PID) {
		c.t.Errorf("pid %d, generation %d, has replaced pid %d, want generation %d and pid %d",
			up.Served.PID, up.Served.Generation, up.OldPID, next, before.PID)
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

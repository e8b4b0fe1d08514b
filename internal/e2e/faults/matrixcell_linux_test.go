package faults

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	points "bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fault"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
)

// matrixGroups are one whose connections move, and one whose connections do not.
const matrixGroups = "[web]\nmode http\nlisten 127.0.0.1:0\n" +
	"[plain]\nmode http\nlisten 127.0.0.1:0\nstop_timeout 500ms\n" // its clients stay to the end

// logTime is how the daemon's log has times.
const logTime = "15:04:05.000000"

// cell is one step and one fault, on a daemon of its own.
type cell struct {
	t      *testing.T
	d      *daemon.Daemon
	step   matrixStep
	faults string // the directory in which it asks
	runDir string // the directory of the PID file
	crew   *crew
	small  bool // the directory is a small file system of its own

	earlier []exchange    // of the crew before
	asked   <-chan answer // of who asked for the upgrade
	before  *process.State
	pids    map[role]int
	undo    []func() // what puts the machine right again, in this order

	doomed map[int]bool // ports of the clients whose connections died with a process
	safe   map[int]bool // and of those whose connections did not
	since  time.Time    // from then on nobody need serve; zero if somebody must
	killed bool         // that is because the only one that served was killed
	pauses bool         // the fault was that a process stood still
	again  bool         // more upgrades than one have been asked for
	scarce bool         // files could not be written for a while

	mu     sync.Mutex // guards events
	events []protocol.Event
}

// answer is what the operator is told.
type answer struct {
	up  *client.Upgraded
	err error
}

// newCell starts a daemon whose PID file has a directory of its own.
func newCell(t *testing.T, program string, s matrixStep, smallDisk bool) *cell {
	t.Helper()
	d := daemontest.Prepare(t, program, matrixGroups)
	c := &cell{
		t: t, d: d, step: s,
		faults: filepath.Join(d.Dir, "faults"), runDir: filepath.Join(d.Dir, "run"),
		pids: make(map[role]int), doomed: make(map[int]bool),
	}
	for _, dir := range []string{c.faults, c.runDir} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if smallDisk {
		c.small = mountSmall(t, c.runDir)
	}
	d.PIDFile, d.Env = filepath.Join(c.runDir, "app.pid"), []string{c.variable()}
	text := "[gozd]\npidfile " + d.PIDFile + "\nlog app.log\nupgrade_timeout 15s\n" + s.conf + matrixGroups
	if err := os.WriteFile(d.Conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.rescue)
	return c
}

func (c *cell) variable() string { return points.Dir + "=" + c.faults }

// rescue ends what a cell that failed has left.
func (c *cell) rescue() {
	c.release()
	c.restore()
	if c.t.Failed() {
		c.mu.Lock()
		c.t.Logf("the asker has heard %+v", c.events)
		c.mu.Unlock()
	}
	for _, pid := range processesWith(c.t, c.variable()) {
		if c.t.Failed() {
			p, err := os.FindProcess(pid)
			if err == nil {
				_ = p.Kill()
				awaitGone(c.t, pid)
			}
		}
	}
}

// run goes through the cell and returns what clients and operator saw.
func (c *cell) run(inject func(*cell), expected outcome) result {
	c.start()
	c.askAndHold()
	inject(c)
	c.release()
	c.await(expected)
	c.restore()
	told := c.hear(expected)
	if expected == down {
		c.revive()
	}
	if expected != ended {
		c.wantNamed(expected)
		c.upgradeAgain(expected)
		c.crew.awaitMore(c.t, 10)
	}
	c.crew.leave()
	seen := c.judge()
	c.end()
	return result{clients: seen, told: told}
}

func (c *cell) start() {
	c.t.Helper()
	if err := c.d.Start(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
	var err error
	if c.before, err = c.d.State(); err != nil {
		c.t.Fatal(err)
	}
	c.pids[parent] = c.before.PID
	c.board()
}

// board has clients come, and waits until they are served.
func (c *cell) board() {
	c.crew = newCrew(c.t, daemontest.Target(c.t, c.d, "web"), daemontest.Target(c.t, c.d, "plain"))
	c.crew.awaitMore(c.t, 20)
}

// askAndHold asks for an upgrade, and returns when a process has stopped at the step.
func (c *cell) askAndHold() {
	c.t.Helper()
	c.touch(c.step.point)
	asked := make(chan answer, 1)
	go func() {
		up, err := client.Reload(context.WithoutCancel(c.t.Context()), c.d.PIDFile, c.note)
		asked <- answer{up, err}
	}()
	c.asked = asked
	pid := c.awaitAt(c.step.point)
	switch {
	case c.step.by == child:
		c.pids[child] = pid
	case c.step.point == points.Draining:
		c.pids[child] = c.successor()
	}
	if c.step.log != "" {
		c.awaitLog(c.step.log)
	}
	if c.step.point == points.OnProbation {
		c.boardChild()
	}
	if !c.step.before(points.Configuration) { // the child has said who it is
		daemontest.Await(c.t, "word to the asker that the child runs", func() bool { return c.hasHeard(protocol.Started) })
	}
}

// note is called with each event that the asker hears.
func (c *cell) note(e protocol.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events = append(c.events, e)
}

func (c *cell) hasHeard(kind protocol.EventType) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.events, func(e protocol.Event) bool { return e.Type == kind })
}

// boardChild has clients come until one has a connection to the child, which it keeps.
func (c *cell) boardChild() {
	c.t.Helper()
	to := daemontest.Target(c.t, c.d, "web").Address
	for deadline := time.Now().Add(cellPatience); !c.crew.has("web, keep-alive", portsOf(c.t, c.pids[child])); {
		if time.Now().After(deadline) {
			c.t.Fatalf("the child on probation has accepted nobody after %v", cellPatience)
		}
		c.crew.join(&sailor{group: "web", to: to, keep: true})
		c.crew.awaitMore(c.t, 20)
	}
}

// awaitLog waits until the daemon has logged a text.
func (c *cell) awaitLog(text string) {
	c.t.Helper()
	for deadline := time.Now().Add(cellPatience); !strings.Contains(c.d.LogText(), text); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatalf("the daemon has not logged %s after %v", text, cellPatience)
		}
	}
}

func (c *cell) touch(name string) {
	c.t.Helper()
	if err := os.WriteFile(filepath.Join(c.faults, name), nil, 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// awaitAt returns the process that has stopped at a point. No other will.
func (c *cell) awaitAt(point string) int {
	c.t.Helper()
	ask := filepath.Join(c.faults, point)
	for deadline := time.Now().Add(cellPatience); ; time.Sleep(time.Millisecond) {
		if marks, _ := filepath.Glob(ask + ".*"); len(marks) > 0 {
			pid, err := strconv.Atoi(strings.TrimPrefix(marks[0], ask+"."))
			if err != nil {
				c.t.Fatal(err)
			}
			_ = os.Remove(ask)
			return pid
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("no process is %s after %v", point, cellPatience)
		}
	}
}

// release lets those that have stopped go on.
func (c *cell) release() {
	marks, _ := filepath.Glob(filepath.Join(c.faults, "*.*"))
	for _, mark := range marks {
		_ = os.Remove(mark)
	}
}

// successor is the PID in the state file, once that is not the parent's any more.
func (c *cell) successor() int {
	c.t.Helper()
	for deadline := time.Now().Add(cellPatience); ; time.Sleep(time.Millisecond) {
		s, err := c.d.State()
		if err == nil && s.PID != c.before.PID {
			return s.PID
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("the state is %+v, %v", s, err)
		}
	}
}

// await waits until the fault has had its effect, so that it can be undone.
func (c *cell) await(expected outcome) {
	c.t.Helper()
	if len(c.undo) == 0 && expected != resumed {
		return
	}
	text := "msg=serving generation=2"
	if expected == resumed {
		text = `msg="serving again"`
	}
	if expected == failed {
		text = `msg="upgrade failed"`
	}
	c.awaitLog(text)
}

// restore undoes the fault.
func (c *cell) restore() {
	for _, undo := range c.undo {
		undo()
	}
	c.undo = nil
}

// end stops the daemon and checks that nothing of it is left.
func (c *cell) end() {
	c.t.Helper()
	if _, err := control.Stop(c.t.Context(), c.d.PIDFile); err != nil && !errors.Is(err, process.ErrNotRunning) {
		c.t.Errorf("stop: %v", err)
	}
	for _, pid := range processesWith(c.t, c.variable()) {
		awaitGone(c.t, pid)
	}
	entries, err := os.ReadDir(c.runDir)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, e := range entries {
		c.t.Errorf("%s is left", e.Name())
	}
}

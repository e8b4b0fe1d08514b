//go:build unix

package upgrade

import (
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/report"
)

// fakeTableflip fails each upgrade as says, the last way for ever; without any it starts a successor that is ready at once.
type fakeTableflip struct {
	says []error

	mu      sync.Mutex
	started int
	stopped bool
}

func (f *fakeTableflip) AddFile(string, *os.File) error { return nil }
func (f *fakeTableflip) Ready() error                   { return nil }

func (f *fakeTableflip) Stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stopped = true
}

func (f *fakeTableflip) Upgrade() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.started++
	if len(f.says) == 0 {
		return nil
	}
	return f.says[min(f.started, len(f.says))-1]
}

var (
	errUnready = errors.New("process is not ready yet")
	errParent  = errors.New("parent hasn't exited")
	errBusy    = errors.New("can't start child: can't start process x: fork/exec x: text file busy")
	errHUP     = errors.New("child pid=7 exited: signal: hangup")
	errUSR1    = errors.New("child pid=7 exited: signal: user defined signal 1")
	errOther   = errors.New("child pid=7 exited: exit status 3")
)

// What is nobody's fault is tried again, but not for ever.
func TestStartSuccessor(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		says    []error
		unready bool // this process is not
		read    bool // the successor has read its bootstrap message
		want    error
		started int           // how often; 0 if that depends on the clock
		took    time.Duration // at least
	}{
		{name: "at once", started: 1},
		{name: "it fails", says: []error{errOther}, want: errOther, started: 1},
		{name: "tableflip has not seen that this process is ready", says: []error{errUnready, errParent, nil}, started: 3, took: 2 * time.Millisecond},
		{name: "it is not", says: []error{errUnready}, unready: true, want: errUnready, started: 1},
		{name: "tableflip never sees it", says: []error{errUnready}, want: errUnready, took: settleWait},
		{name: "the binary is busy for a moment", says: []error{errBusy, errBusy, nil}, started: 3, took: 10 * time.Millisecond},
		{name: "somebody writes the binary", says: []error{errBusy}, want: errBusy, took: busyWait},
		{name: "signals hit it", says: []error{errHUP, errUSR1, errHUP, nil}, started: 4},
		{name: "signals always hit it", says: []error{errHUP}, want: errHUP, started: maxHits + 1},
		{name: "a signal ends it later", says: []error{errHUP}, read: true, want: errHUP, started: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newTestConn(t)
				if !tt.read {
					if err := m.send(testManifest, nil, nil); err != nil {
						t.Fatal(err)
					}
				}
				tf := &fakeTableflip{says: tt.says}
				a := &attempt{opts: &Options{}, tf: tf, bootstrap: m, succession: &succession{generation: 1, ready: !tt.unready}}
				began := time.Now()
				if err := a.startSuccessor(); !errors.Is(err, tt.want) {
					t.Errorf("startSuccessor = %v, want %v", err, tt.want)
				}
				if tt.started > 0 && tf.started != tt.started {
					t.Errorf("it has started %d processes, want %d", tf.started, tt.started)
				}
				if took := time.Since(began); took < tt.took || took > tt.took+time.Second {
					t.Errorf("it took %v, want %v", took, tt.took)
				}
			})
		})
	}
}

// Where this process does not stand by, tableflip's word decides.
func TestDecideByTableflip(t *testing.T) {
	t.Parallel()
	for _, want := range []error{nil, errOther} {
		ended := make(chan error, 1)
		ended <- want
		a := &attempt{opts: &Options{}, succession: &succession{generation: 1}, dialogue: &dialogue{}, ended: ended}
		late, err := a.decide()
		if late || !errors.Is(err, want) || (a.succession.newest() == 2) != (want == nil) || a.succession.standsBy() {
			t.Errorf("decide = %v, %v, want %v; generation %d has taken over", late, err, want, a.succession.newest())
		}
	}
}

// A successor that takes over while Stop has it killed has failed.
func TestDecideAfterStop(t *testing.T) {
	t.Parallel()
	channel, ended := newTestStandby(t), make(chan error, 1)
	a := &attempt{opts: &Options{}, succession: &succession{generation: 1}, dialogue: &dialogue{standby: channel, identified: make(chan struct{})}, ended: ended}
	close(a.dialogue.identified)
	a.succession.offer(channel)
	if !a.succession.stop() {
		t.Fatal("Stop spares a successor that has not taken over")
	}
	channel.hear(t, "t")
	_ = channel.theirs.Close()
	<-channel.took
	terminating := errors.New("terminating")
	ended <- terminating
	if _, err := a.decide(); !errors.Is(err, terminating) || a.succession.newest() != 0 {
		t.Errorf("decide = %v, want %v; generation %d has taken over", err, terminating, a.succession.newest())
	}
}

// A successor that cannot be found is left to tableflip at last, and not before.
func TestKillAsALastResort(t *testing.T) {
	t.Parallel()
	for _, last := range []bool{false, true} {
		tf := &fakeTableflip{}
		a := &attempt{tf: tf, dialogue: &dialogue{}}
		a.dialogue.pid.Store(1 << 30) // no system has such a PID
		a.kill(last)
		if tf.stopped != last {
			t.Errorf("last %v: tableflip is stopped: %v", last, tf.stopped)
		}
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	a := &attempt{opts: &Options{Timeout: time.Second, Probation: time.Minute, Verdict: time.Hour}, binary: "/bin/app"}
	for _, tt := range []struct {
		name    string
		asks    error
		reports report.Outcome
		late    bool
		stage   string
		pid     int
		says    string
	}{
		{"it says why", errOther, report.Outcome{PID: 7, Error: "no"}, false, StageStart, 7, "no"},
		{"it says where", errOther, report.Outcome{PID: 7, Error: "no", Stage: StageListen, Probation: true}, true, StageListen, 7, "no"},
		{"it says nothing of its stage", errOther, report.Outcome{PID: 7, Error: "no", Probation: true}, false, StageProbation, 7, "no"},
		{"it hangs", errors.New("killed"), report.Outcome{PID: 7}, true, StageReady, 7, "not ready after 1s: killed"},
		{"it hangs without a word", errors.New("killed"), report.Outcome{}, true, StageReady, 0, "not ready after 1s: is /bin/app built with gozd? killed"},
		{"it hangs on probation", errors.New("killed"), report.Outcome{PID: 7, Probation: true}, true, StageProbation, 7, "its probation was not over after 1h1m1s: killed"},
		{"it dies between report and ready", errOther, report.Outcome{PID: 7, Ready: true}, false, StageReady, 7, "it was ready and ended before it took over: "},
		{"it ends", errors.New("child pid=7 exited"), report.Outcome{PID: 7}, false, StageStart, 7, "child pid=7 exited with status 0 before it was ready"},
		{"it ends on probation", errors.New("child pid=7 exited"), report.Outcome{PID: 7, Probation: true}, false, StageProbation, 7, "child pid=7 exited with status 0 before its probation was over"},
		{"it cannot be started", errBusy, report.Outcome{}, false, StageStart, 0, "/bin/app: text file busy"},
		{"it fails without a word", errOther, report.Outcome{PID: 7}, false, StageStart, 7, errOther.Error()},
	} {
		e := a.explain(tt.asks, tt.reports, "", tt.late)
		if e.Stage != tt.stage || e.PID != tt.pid || !strings.HasPrefix(e.Err.Error(), tt.says) {
			t.Errorf("%s: at %s, pid %d: %v; want %s, %d, %s", tt.name, e.Stage, e.PID, e.Err, tt.stage, tt.pid, tt.says)
		}
	}
}

func TestExitCause(t *testing.T) {
	t.Parallel()
	got := []string{exitCause(errHUP), exitCause(errors.New("child pid=7 exited"))}
	if want := []string{"signal: hangup", "exit status 0"}; !slices.Equal(got, want) {
		t.Errorf("the causes are %q, want %q", got, want)
	}
}

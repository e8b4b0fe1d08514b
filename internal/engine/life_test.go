package engine

import (
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// columns are the phases in the order of their constants. "!" in a column stands for an event that must not come there.
const columns = "starting, on probation, serving, standing by, resuming, draining, ending"

// What each step does in each phase, as the engine calls it. The table is written by hand, and knows nothing of that of the transitions.
var stepsOfLife = map[string]struct {
	do   func(l *life) (did bool)
	want [7]string // the phase that follows, and a "+" if the step says that it has done what it is for
}{
	"probation": {
		func(l *life) bool { return l.beginProbation(time.Minute) },
		[7]string{"on probation +", "on probation", "serving", "standing by", "resuming", "draining", "ending"},
	},
	"ready": {
		func(l *life) bool { return l.beginServing(time.Time{}) },
		[7]string{"serving +", "serving +", "serving", "standing by", "resuming", "draining", "ending"},
	},
	"too late": {
		func(l *life) bool { _, changed := l.on(readyTimedOut); return changed },
		[7]string{"draining +", "on probation", "serving", "!", "!", "draining", "!"},
	},
	"failed": {
		func(l *life) bool { _, changed := l.on(startFailed); return changed },
		[7]string{"draining +", "draining +", "draining +", "!", "!", "draining", "!"},
	},
	"rollback": {
		func(l *life) bool { return l.rollBack(rollbackAsked) },
		[7]string{"!", "draining +", "serving", "standing by", "resuming", "draining", "ending"},
	},
	"stop": {
		func(l *life) bool { l.leave(stopAsked, stopping); return l.stopRequested },
		[7]string{"draining +", "draining +", "draining +", "draining +", "resuming +", "draining +", "ending +"},
	},
	"replaced": {
		func(l *life) bool { from, _ := l.leave(replacedBySuccessor, replaced); return from == serving },
		[7]string{"!", "!", "standing by +", "!", "!", "draining", "!"},
	},
	"replaced for good": {
		func(l *life) bool { from, _ := l.leave(replacedForGood, replaced); return from == serving },
		[7]string{"!", "!", "draining +", "!", "!", "draining", "!"},
	},
	"the successor dies": {
		func(l *life) bool { _, changed := l.on(successorDied); return changed },
		[7]string{"!", "!", "!", "resuming +", "!", "draining", "ending"},
	},
	"resumed": {
		func(l *life) bool { return l.resume(os.ErrClosed) && l.replacedBy() == nil },
		[7]string{"!", "!", "!", "!", "serving +", "!", "!"},
	},
	"lost": {
		func(l *life) bool { l.lose(os.ErrClosed); return l.isLost() && l.diedLast() != nil },
		[7]string{"!", "!", "!", "!", "draining +", "!", "!"},
	},
	"standby over": {
		func(l *life) bool { _, changed := l.on(standbyOver); return changed },
		[7]string{"!", "!", "!", "draining +", "resuming", "draining", "ending"},
	},
	"drained": {
		func(l *life) bool { _, over := l.end(l.now()); return over },
		[7]string{"!", "!", "!", "ending +", "resuming", "ending +", "!"},
	},
}

func TestStepsOfLife(t *testing.T) {
	for name, step := range stepsOfLife {
		for p, column := range strings.Split(columns, ", ") {
			t.Run(name+" when "+column, func(t *testing.T) {
				var log strings.Builder
				l := newLife(slog.New(slog.NewTextHandler(&log, nil)))
				l.phase = phase(p)
				if l.phase.String() != column {
					t.Fatalf("phase %d is %v", p, l.phase)
				}
				did := step.do(l)
				if want := step.want[p]; want == "!" {
					if l.phase != phase(p) || !strings.Contains(log.String(), "no such transition") {
						t.Errorf("it is %v now, and the log has %q", l.phase, &log)
					}
				} else if phase, does := strings.CutSuffix(want, " +"); l.phase.String() != phase || did != does || log.String() != "" {
					t.Errorf("it is %v now, want %s; says %t, want %t; the log has %q", l.phase, phase, did, does, &log)
				}
			})
		}
	}
}

// Behind a successor that is dead, of which nobody has been told yet, a generation stands by until it is.
func TestStandsByBehindADyingSuccessor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, dying := range []bool{false, true} {
			l := newLife(slog.Default())
			l.beginServing(time.Time{})
			l.leave(replacedBySuccessor, replaced)
			l.succeeded(successor{isEnding: func() bool { return dying }}, 0)
			stood := make(chan struct{})
			go func() {
				l.standAWhile(l.now())
				close(stood)
			}()
			time.Sleep(time.Minute)
			select {
			case <-stood:
				if dying {
					t.Error("it does not wait for the end of its successor, which is dying")
				}
			default:
				if !dying {
					t.Error("it stands by behind a successor that lives")
				}
			}
			l.now().decide(os.ErrClosed)
			<-stood
		}
	})
}

// The times of a generation: a drain is one, however it goes on, and its service another after a resume.
func TestTimesOfLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLife(slog.Default())
		asked := time.Now()
		time.Sleep(time.Second)
		if !l.beginProbation(10*time.Second) || time.Until(l.until) != 10*time.Second {
			t.Errorf("the probation ends in %v", time.Until(l.until))
		}
		time.Sleep(time.Second)
		l.beginServing(asked)
		if took := l.upgrades().lastSeconds; took == nil || *took != 2 || !l.servesSince().Equal(time.Now()) {
			t.Errorf("the upgrade took %v, and it serves since %v", took, l.servesSince())
		}
		time.Sleep(time.Second)
		l.leave(replacedBySuccessor, replaced)
		time.Sleep(time.Second)
		l.on(standbyOver)
		if l.drainsSince(time.Second) || !l.drainsSince(time.Second+1) {
			t.Error("the end of its standby begins another drain")
		}
		l.leave(stopAsked, stopping)
		if l.why != replaced {
			t.Errorf("it drains since it is %v", l.why)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		l := newLife(slog.Default())
		l.beginServing(time.Time{})
		l.leave(replacedBySuccessor, replaced)
		time.Sleep(time.Minute)
		before := l.now()
		l.on(successorDied)
		if !l.resume(os.ErrClosed) || !l.servesSince().Equal(time.Now()) || l.now() == before || l.why != "" {
			t.Errorf("it serves since %v, in the same term %t, and drains since it is %q", l.servesSince(), l.now() == before, l.why)
		}
		if h := l.upgrades(); h.failures != 1 || h.failure != os.ErrClosed.Error() {
			t.Errorf("%+v", h)
		}
	})
}

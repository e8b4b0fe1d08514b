package supervise_test

import (
	"slices"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/supervise"
)

// step is something that the supervisor learns: an event of a process, or its end.
type step struct {
	pid  int
	kind supervise.Kind // "" for its end
	text string
}

// begun is a first generation that serves, with PID 101.
var begun = []step{{101, supervise.Starting, ""}, {101, supervise.Serving, ""}}

// standsBy is the text of a Draining of one that does.
const standsBy = "stands by"

// trying is the text of a Starting on probation.
const trying = "trying"

// guarded is upgraded where the first one stands by.
var guarded = append(upgraded[:len(upgraded)-1:len(upgraded)-1], step{101, supervise.Draining, standsBy})

// upgraded is a second one that has replaced it, with PID 102.
var upgraded = append(begun[:2:2], step{101, supervise.Upgrading, ""}, step{102, supervise.Starting, ""},
	step{102, supervise.Serving, ""}, step{101, supervise.Draining, ""})

func TestGenerations(t *testing.T) {
	tests := []struct {
		name            string
		before          []step
		steps           []step
		serves, targets int
		over            bool
		status          string
	}{
		{name: "started, silent", status: "nothing serves yet"},
		{
			name: "starting", steps: []step{{101, supervise.Starting, ""}},
			targets: 101, status: "generation 1 starting",
		},
		{name: "serving", before: begun, serves: 101, targets: 101, status: "generation 1 serving"},
		{name: "never served", steps: []step{{101, supervise.Starting, ""}, {pid: 101}}, over: true, status: "nothing serves yet"},
		{name: "ended in silence", steps: []step{{pid: 101}}, over: true, status: "nothing serves yet"},
		{
			name: "upgrading", before: begun, steps: []step{{101, supervise.Upgrading, ""}},
			serves: 101, targets: 101, status: "generation 1 serving, generation 2 starting",
		},
		{
			name: "on probation", before: begun,
			steps:  []step{{101, supervise.Upgrading, ""}, {102, supervise.Starting, ""}, {102, supervise.Starting, trying}},
			serves: 101, targets: 101, status: "generation 1 serving, generation 2 on probation",
		},
		{
			name: "on probation, and passed", before: begun,
			steps:  []step{{101, supervise.Upgrading, ""}, {102, supervise.Starting, ""}, {102, supervise.Starting, trying}, {102, supervise.Serving, ""}},
			serves: 102, targets: 102, status: "generation 2 serving, 1 draining",
		},
		{
			name: "upgrade failed", before: begun,
			steps:  []step{{101, supervise.Upgrading, ""}, {102, supervise.Starting, ""}, {pid: 102}, {101, supervise.Failed, "no good"}},
			serves: 101, targets: 101, status: "generation 1 serving; no good",
		},
		{
			name: "not confirmed", before: begun,
			steps:  []step{{101, supervise.Upgrading, ""}, {102, supervise.Starting, ""}, {102, supervise.Serving, ""}},
			serves: 102, targets: 102, status: "generation 2 serving, 1 draining",
		},
		{name: "upgraded", before: upgraded, serves: 102, targets: 102, status: "generation 2 serving, 1 draining"},
		{
			name: "drained", before: upgraded, steps: []step{{pid: 101}},
			serves: 102, targets: 102, status: "generation 2 serving",
		},
		{
			name: "a failure is forgotten after a success", before: begun,
			steps:  append([]step{{101, supervise.Failed, "no good"}}, upgraded[2:]...),
			serves: 102, targets: 102, status: "generation 2 serving, 1 draining",
		},
		{
			name: "crashed while the one before drains", before: upgraded, steps: []step{{pid: 102}},
			over: true, status: "nothing serves",
		},
		{
			name: "crashed while the one before stands by", before: guarded, steps: []step{{pid: 102}},
			status: "nothing serves",
		},
		{
			name: "and that one serves again", before: guarded, steps: []step{{pid: 102}, {101, supervise.Failed, "it died"}},
			serves: 101, targets: 101, status: "generation 1 serving; it died",
		},
		{
			name: "or cannot", before: guarded, steps: []step{{pid: 102}, {101, supervise.Draining, ""}},
			over: true, status: "nothing serves",
		},
		{
			name: "or ends", before: guarded, steps: []step{{pid: 102}, {pid: 101}},
			over: true, status: "nothing serves",
		},
		{
			name: "one stands by", before: guarded,
			serves: 102, targets: 102, status: "generation 2 serving, 1 draining",
		},
		{
			name: "crashed as it took over, and the one before serves on", before: begun,
			steps: []step{
				{101, supervise.Upgrading, ""},
				{102, supervise.Starting, ""},
				{102, supervise.Serving, ""},
				{pid: 102},
				{101, supervise.Failed, "it ended right after it was ready"},
			},
			serves: 101, targets: 101, status: "generation 1 serving; it ended right after it was ready",
		},
		{
			name: "crashed as it took over, and the one before has gone", before: begun,
			steps: []step{
				{101, supervise.Upgrading, ""},
				{102, supervise.Starting, ""},
				{102, supervise.Serving, ""},
				{pid: 102},
				{101, supervise.Draining, ""},
			},
			over: true, status: "nothing serves",
		},
		{
			name: "crashed during an upgrade, and the next carries on", before: begun,
			steps:   []step{{101, supervise.Upgrading, ""}, {102, supervise.Starting, ""}, {pid: 101}},
			targets: 102, status: "generation 2 starting",
		},
		{
			name: "stopping", before: upgraded, steps: []step{{102, supervise.Stopping, ""}},
			serves: 102, targets: 102, status: "stopping, generations left: 2",
		},
		{
			name: "stopped before an older one", before: upgraded, steps: []step{{102, supervise.Stopping, ""}, {pid: 102}},
			status: "stopping, generations left: 1",
		},
		{
			name: "stopped", before: upgraded, steps: []step{{102, supervise.Stopping, ""}, {pid: 102}, {pid: 101}},
			over: true, status: "stopping, generations left: 0",
		},
		{
			name: "an old one is asked to end", before: upgraded, steps: []step{{101, supervise.Stopping, ""}},
			serves: 102, targets: 102, status: "generation 2 serving, 1 draining",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := new(supervise.Generations)
			l.Spawned(101)
			for _, s := range slices.Concat(tt.before, tt.steps) {
				take(t, l, s)
			}
			if l.Serves() != tt.serves || l.Target() != tt.targets {
				t.Errorf("serving %d, target %d, want %d and %d", l.Serves(), l.Target(), tt.serves, tt.targets)
			}
			if l.Over() != tt.over {
				t.Errorf("over %t, want %t", l.Over(), tt.over)
			}
			if l.Status() != tt.status {
				t.Errorf("status %q, want %q", l.Status(), tt.status)
			}
		})
	}
}

func take(t *testing.T, l *supervise.Generations, s step) {
	t.Helper()
	var known bool
	if s.kind == "" {
		known = l.Ended(s.pid)
	} else {
		if s.kind == supervise.Starting { // as the supervisor does when it has looked at the process
			l.Add(s.pid, s.pid-100)
		}
		known = l.Heard(s.pid, supervise.Event{Version: 1, Kind: s.kind, Generation: s.pid - 100, Text: s.text, StandsBy: s.text == standsBy, Trying: s.text == trying})
	}
	if !known {
		t.Fatalf("%+v is of a stranger", s)
	}
}

// A process that has not said that it starts has nothing to say.
func TestGenerationsIgnoresStrangers(t *testing.T) {
	l := new(supervise.Generations)
	l.Spawned(101)
	for _, s := range begun {
		take(t, l, s)
	}
	for _, kind := range []supervise.Kind{supervise.Upgrading, supervise.Failed, supervise.Draining, supervise.Stopping, supervise.Alive} {
		if l.Heard(7, supervise.Event{Version: 1, Kind: kind}) {
			t.Errorf("%s of a stranger was heard", kind)
		}
	}
	if l.Ended(7) || l.Serves() != 101 {
		t.Errorf("a stranger's end changes something: serving %d", l.Serves())
	}
}

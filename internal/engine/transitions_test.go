package engine

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"testing"
)

// Every phase but the first can be reached, every phase but the last can be left, each event has an effect somewhere, and no step is
// there twice.
func TestPhases(t *testing.T) {
	into, out, used := make(map[phase]bool), make(map[phase]bool), make(map[event]bool)
	seen := make(map[transition]bool)
	for _, step := range transitions {
		if key := (transition{from: step.from, on: step.on}); seen[key] {
			t.Errorf("%v on %v is there twice", step.from, step.on)
		} else {
			seen[key] = true
		}
		if step.from != step.to {
			out[step.from], into[step.to], used[step.on] = true, true, true
		}
	}
	for p := starting; p <= ending; p++ {
		if into[p] != (p != starting) || out[p] != (p != ending) {
			t.Errorf("phase %q: entered %t, left %t", p, into[p], out[p])
		}
	}
	for ev := probationBegins; ev <= drained; ev++ {
		if !used[ev] {
			t.Errorf("event %q changes nothing", ev)
		}
	}
}

// docs/architecture.md shows the table as it is here. It is the other copy, by which a row that is lost is found.
func TestTransitionsAreDrawn(t *testing.T) {
	text, err := os.ReadFile("../../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	table.WriteString("| from | event | to |\n| --- | --- | --- |\n")
	for _, step := range transitions {
		if step.from != step.to {
			table.WriteString("| " + step.from.String() + " | " + step.on.String() + " | " + step.to.String() + " |\n")
		}
	}
	table.WriteString("\nThese events may come too, and change nothing:\n\n| phase | events |\n| --- | --- |\n")
	for p := starting; p <= ending; p++ {
		var stays []string
		for _, step := range transitions {
			if step.from == p && step.to == p {
				stays = append(stays, step.on.String())
			}
		}
		if len(stays) > 0 {
			table.WriteString("| " + p.String() + " | " + strings.Join(stays, "; ") + " |\n")
		}
	}
	if !strings.Contains(string(text), table.String()) {
		t.Errorf("docs/architecture.md lacks this table:\n%s", &table)
	}
}

// Each row of the table does what it says, and an event that is in none changes nothing, and is logged.
func TestEveryTransition(t *testing.T) {
	for p := starting; p <= ending; p++ {
		for ev := probationBegins; ev <= drained; ev++ {
			var log bytes.Buffer
			l := newLife(slog.New(slog.NewTextHandler(&log, nil)))
			l.phase = p
			to, expected := next(p, ev)
			from, changed := l.on(ev)
			if from != p || l.phase != to || changed != (to != p) {
				t.Errorf("%v on %v: now %v, from %v, changed %t", p, ev, l.phase, from, changed)
			}
			if isLogged := strings.Contains(log.String(), "no such transition"); isLogged == expected {
				t.Errorf("%v on %v: the log has %q", p, ev, log.String())
			}
		}
	}
}

// A generation whose term is over hears no more of it.
func TestEventOfAnotherTerm(t *testing.T) {
	l := newLife(slog.Default())
	l.phase = standingBy
	before := l.now()
	l.on(successorDied)
	if !l.resume(os.ErrClosed) {
		t.Fatal("it does not serve again")
	}
	if from, over := l.end(before); over || from != serving || !l.is(serving) {
		t.Errorf("the end of an earlier term ends %v, %t", from, over)
	}
}

// Whoever asks a generation to end that takes back its sockets is heard: it does not serve again.
func TestStopWhileResuming(t *testing.T) {
	l := newLife(slog.Default())
	l.phase = standingBy
	l.on(successorDied)
	if from, _ := l.leave(stopAsked, stopping); from != resuming {
		t.Fatalf("it was %v", from)
	}
	if l.resume(os.ErrClosed) {
		t.Error("it serves again")
	}
	l.lose(os.ErrClosed)
	if !l.is(draining) || !l.isLost() || l.diedLast() == nil {
		t.Errorf("it is %v", l.phase)
	}
}

// docs/architecture.md shows the steps of a start and of becoming ready, in their order.
func TestStepsAreDrawn(t *testing.T) {
	text, err := os.ReadFile("../../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{drawSteps(startSteps), drawSteps(readySteps)} {
		if !strings.Contains(string(text), table) {
			t.Errorf("docs/architecture.md lacks this table:\n%s", table)
		}
	}
}

func drawSteps[T any](steps []step[T]) string {
	var table strings.Builder
	table.WriteString("| step | if it fails | why here |\n| --- | --- | --- |\n")
	for _, s := range steps {
		table.WriteString("| " + s.name + " | " + s.stage + " | " + s.why + " |\n")
	}
	return table.String()
}

// What has been done is undone from the last to the first, the step that has failed not.
func TestAbandonUndoesInReverse(t *testing.T) {
	var did []string
	do := func(name string, err error) step[*Engine] {
		return step[*Engine]{
			name: name, stage: name,
			do:   func(*Engine) error { did = append(did, name); return err },
			undo: func(*Engine) { did = append(did, "undo "+name) },
		}
	}
	e := new(Engine)
	steps := []step[*Engine]{do("one", nil), do("two", nil), do("three", os.ErrClosed), do("four", nil)}
	stage, err := run(e, steps, func(undo func(*Engine)) { e.undo = append(e.undo, undo) })
	if stage != "three" || err != os.ErrClosed { //nolint:errorlint // it is this very error
		t.Errorf("the stage is %q, the error %v", stage, err)
	}
	e.abandon(e)
	e.abandon(e)
	if got, want := strings.Join(did, ", "), "one, two, three, undo two, undo one"; got != want {
		t.Errorf("did %s, want %s", got, want)
	}
}

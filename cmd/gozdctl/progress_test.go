package main

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// terminal is what a person sees of what is written to it: it knows the few sequences
// that a screen uses.
type terminal struct {
	lines   []string
	col     int
	columns int // 0: any number
	cuts    bool
}

func newTerminal(columns int) (*screen, *terminal) {
	t := &terminal{lines: []string{""}, columns: columns}
	return &screen{w: t, live: true, size: func() (int, int) { return columns, 24 }}, t
}

func (t *terminal) Write(p []byte) (int, error) {
	text := string(p)
	for text != "" {
		last := len(t.lines) - 1
		var n int
		switch {
		case strings.HasPrefix(text, "\x1b[K"), strings.HasPrefix(text, "\x1b[J"):
			t.lines[last] = string([]rune(t.lines[last])[:t.col])
			n = 3
		case strings.HasPrefix(text, cutLines), strings.HasPrefix(text, wrapLines):
			t.cuts, n = strings.HasPrefix(text, cutLines), len(cutLines)
		case strings.HasPrefix(text, "\x1b["):
			var up int
			if _, err := fmt.Sscanf(text, "\x1b[%dA", &up); err != nil {
				return 0, fmt.Errorf("the terminal does not know %q", text)
			}
			t.lines = t.lines[:len(t.lines)-up] // a screen clears what is below
			n = strings.IndexByte(text, 'A') + 1
		case text[0] == '\r':
			t.col, n = 0, 1
		case text[0] == '\n':
			t.lines, t.col, n = append(t.lines, ""), 0, 1
		case t.columns > 0 && t.col == t.columns && !t.cuts:
			t.lines, t.col = append(t.lines, ""), 0
		default:
			r := []rune(text)[0]
			if t.columns > 0 && t.col == t.columns {
				t.col--
			}
			line := []rune(t.lines[last])
			t.lines[last] = string(append(line[:t.col], r))
			t.col, n = t.col+1, len(string(r))
		}
		text = text[n:]
	}
	return len(p), nil
}

func (t *terminal) String() string { return strings.Join(t.lines, "\n") }

// drainSteps is an upgrade with a drain, as the daemon tells it.
var drainSteps = []protocol.Event{
	{Type: protocol.Started, Generation: 4, PID: 811},
	{Type: protocol.Served, Generation: 4, PID: 811, Seconds: 0.83},
	{Type: protocol.DrainBegan, Generation: 3, Open: 815},
	{Type: protocol.DrainBegan, Generation: 3, Open: 162},
	{Type: protocol.Drained, Generation: 3, Seconds: 12.3, Moved: 812, Ended: 3},
}

func tellAll(t *testing.T, s *screen, events []protocol.Event, look func(protocol.EventType)) {
	t.Helper()
	a := newApp(s, s)
	_, p := a.newPatience(t.Context(), scriptPatience)
	defer p.end()
	teller := &upgradeReporter{app: a, progress: progress{s: s}, patience: p, began: a.now()}
	for _, e := range events {
		teller.show(e)
		look(e.Type)
	}
	teller.progress.end()
}

const scriptPatience = 1 << 40 // far from over

// On a terminal the steps are a line that grows, and goes on below where there is no room.
func TestProgressOnATerminal(t *testing.T) {
	for _, test := range []struct {
		columns      int
		during, then string
	}{
		{
			200,
			"starting generation 4 (pid 811)… ready in 0.8 s… serving; generation 3 drains ████████░░ 162 left",
			"starting generation 4 (pid 811)… ready in 0.8 s… serving; generation 3 drained in 12 s: 812 moved, 3 ended\n",
		},
		{
			80,
			"starting generation 4 (pid 811)… ready in 0.8 s… serving;\n  generation 3 drains ████████░░ 162 left",
			"starting generation 4 (pid 811)… ready in 0.8 s… serving;\n  generation 3 drained in 12 s: 812 moved, 3 ended\n",
		},
	} {
		s, screen := newTerminal(test.columns)
		during := ""
		tellAll(t, s, drainSteps, func(e protocol.EventType) {
			if e == protocol.DrainBegan {
				during = screen.String()
			}
		})
		if during != test.during {
			t.Errorf("at %d columns it shows\n%s\nwant\n%s", test.columns, during, test.during)
		}
		if screen.String() != test.then {
			t.Errorf("at %d columns it shows in the end\n%s\nwant\n%s", test.columns, screen, test.then)
		}
	}
}

// A terminal that does not say how wide it is gets no line that grows without end, which would be written anew as a whole each time.
func TestProgressWithoutAWidth(t *testing.T) {
	s, screen := newTerminal(0)
	tellAll(t, s, slices.Repeat(drainSteps[:1], 100), func(protocol.EventType) {})
	for _, line := range screen.lines {
		if runes(line) > 80 {
			t.Fatalf("a line has %d columns: %.100s", runes(line), line)
		}
	}
}

// Without a connection it is a matter of seconds, whatever the deadline.
func TestProgressOfAStandby(t *testing.T) {
	s, screen := newTerminal(200)
	events := []protocol.Event{{Type: protocol.DrainBegan, Generation: 3, Until: time.Now().Add(time.Hour)}}
	tellAll(t, s, events, func(protocol.EventType) {
		if got, want := screen.String(), "generation 3 has no connection left, and stands by"; got != want {
			t.Errorf("it shows %q, want %q", got, want)
		}
	})
}

// Elsewhere each step is a line, and what is only so at the moment is none.
func TestProgressInALog(t *testing.T) {
	buf := new(bytes.Buffer)
	tellAll(t, newScreen(buf, func(string) string { return "xterm" }), drainSteps, func(protocol.EventType) {})
	want := "starting generation 4 (pid 811)\nready in 0.8 s\nserving\ngeneration 3 drained in 12 s: 812 moved, 3 ended\n"
	if buf.String() != want {
		t.Errorf("it prints\n%s\nwant\n%s", buf, want)
	}
}

func TestBar(t *testing.T) {
	for _, test := range []struct {
		done, whole int
		want        string
	}{{0, 4, "░░░░"}, {1, 4, "█░░░"}, {4, 4, "████"}, {9, 4, "████"}, {-1, 4, "░░░░"}, {0, 0, "████"}} {
		if got := bar(test.done, test.whole, 4); got != test.want {
			t.Errorf("bar(%d, %d) = %s, want %s", test.done, test.whole, got, test.want)
		}
	}
}

// Lines for people are broken at blanks on a terminal, and nowhere else.
func TestErrorsOnATerminal(t *testing.T) {
	s, screen := newTerminal(30)
	a := newApp(s, s)
	a.warn("upgrade: group nobody is not being accepted on")
	if want := "gozdctl: upgrade: group\n  nobody is not being accepted\n  on\n"; screen.String() != want {
		t.Errorf("it shows\n%s\nwant\n%s", screen, want)
	}
}

// What is so meanwhile is gone afterwards.
func TestMeanwhile(t *testing.T) {
	s, screen := newTerminal(80)
	p := progress{s: s}
	p.now("stopping…")
	if screen.String() != "stopping…" {
		t.Errorf("it shows %q", screen)
	}
	p.end()
	if screen.String() != "" {
		t.Errorf("it leaves %q", screen)
	}
}

// A watch writes over what it has shown, however many lines that were and are.
func TestWatchWritesInPlace(t *testing.T) {
	s, screen := newTerminal(80)
	s.size = func() (int, int) { return 80, 50 }
	a := newApp(s, s)
	w := &watcher{app: a, most: make(map[int]int)}
	few := crowded()
	few.Generations = few.Generations[3:4]
	for range 2 {
		w.redraw(crowded(), nil)
		w.redraw(few, nil)
	}
	if n := strings.Count(screen.String(), "upgrades  "); n != 1 || strings.Contains(screen.String(), "draining") {
		t.Errorf("the status is there %d times, or an old one is:\n%s", n, screen)
	}
	w.redraw(crowded(), nil)
	if want := "generation 2   ░░░░░░░░░░░░░░░░░░░░ 1 of 1 left"; !strings.Contains(screen.String(), want) {
		t.Errorf("it shows\n%s\nwant %q in it", screen, want)
	}
}

// What the daemon's user names can be longer than a line.
func TestWatchOfLongNames(t *testing.T) {
	s, screen := newTerminal(80)
	s.size = func() (int, int) { return 80, 50 }
	long := crowded()
	long.Generations[3].Groups[0].Name = strings.Repeat("g", 200)
	w := &watcher{app: newApp(s, s), most: make(map[int]int)}
	w.redraw(long, nil)
	once := len(screen.lines)
	w.redraw(long, nil)
	if n := len(screen.lines); n != once {
		t.Errorf("it shows %d lines, and then %d:\n%s", once, n, screen)
	}
	if screen.cuts {
		t.Error("the terminal is left so that it cuts lines")
	}
}

// The daemon's user can name new generations for ever, and root may watch for a day: those that are gone are forgotten.
func TestWatchForgets(t *testing.T) {
	s, _ := newTerminal(80)
	w := &watcher{app: newApp(s, s), most: make(map[int]int)}
	for pid := range 100 {
		w.redraw(&protocol.Status{Generations: []protocol.Generation{{PID: pid, State: protocol.Draining, Groups: []protocol.Group{{Open: 1}}}}}, nil)
	}
	if n := len(w.most); n != 1 {
		t.Errorf("it remembers %d generations, and one is there", n)
	}
}

// What does not fit on a small terminal is left out: a screen that scrolls cannot be written over.
func TestWatchOnASmallTerminal(t *testing.T) {
	s, screen := newTerminal(80)
	s.size = func() (int, int) { return 80, 10 }
	w := &watcher{app: newApp(s, s), most: make(map[int]int)}
	for range 3 {
		w.redraw(crowded(), nil)
	}
	if n := len(screen.lines); n != 9 {
		t.Errorf("it shows %d lines on a terminal of 10, want 9:\n%s", n, screen)
	}
}

// A terminal has colours unless the environment says otherwise.
func TestScreenAsksTheEnvironment(t *testing.T) {
	tty, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		require.Missing(t, fmt.Sprintf("there are no pseudo-terminals: %v", err))
	}
	defer func() { _ = tty.Close() }()
	for _, test := range []struct {
		environ      map[string]string
		live, colour bool
	}{
		{map[string]string{"TERM": "xterm"}, true, true},
		{map[string]string{"TERM": "xterm", "NO_COLOR": "1"}, true, false},
		{map[string]string{"TERM": "dumb"}, false, false},
		{nil, false, false},
	} {
		s := newScreen(tty, func(name string) string { return test.environ[name] })
		if s.live != test.live || s.colour != test.colour {
			t.Errorf("%v: live %t, colour %t, want %t, %t", test.environ, s.live, s.colour, test.live, test.colour)
		}
	}
}

func TestScreenThatIsAFile(t *testing.T) {
	s := newScreen(new(bytes.Buffer), func(string) string { return "xterm" })
	if s.live || s.colour || s.width() != 0 || s.paint(red, "text") != "text" {
		t.Errorf("a file is taken for a terminal: %+v", s)
	}
}

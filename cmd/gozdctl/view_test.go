package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
)

// looked is the time at which the examples are looked at.
var looked = time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)

func before(d time.Duration) time.Time { return looked.Add(-d) }

// connectionsOf are the groups of an example with their open connections.
func connectionsOf(open ...int) []protocol.Group {
	groups := []protocol.Group{
		{Name: "web", Mode: "https", Network: "tcp", Address: "0.0.0.0:443", Accepted: 48213, MovedIn: 812},
		{Name: "admin", Mode: "http", Network: "unix", Address: "/run/app/admin.sock", Accepted: 17},
		{Name: "feed", Mode: "tcp", Network: "tcp", Address: "[2001:db8::1]:7000", Accepted: 120, MovedOut: 3},
	}
	for i, n := range open {
		groups[i].Open = n
	}
	return groups
}

// crowded is a daemon of five generations that has seen much.
func crowded() *protocol.Status {
	const binary = "/opt/example/releases/current/bin/example-gateway"
	draining := func(number, pid int, since time.Duration, version string, open ...int) protocol.Generation {
		return protocol.Generation{
			Generation: number, PID: pid, State: protocol.Draining, Reason: "upgrade", Since: before(since),
			Until: before(since).Add(15 * time.Minute), Binary: binary, Build: protocol.Build{Version: version}, Groups: connectionsOf(open...),
		}
	}
	took := 0.83
	return &protocol.Status{
		PIDFile: "/run/example/example-gateway.pid", Config: "/etc/example/gateway.conf", Log: "/var/log/example/gateway.log", Generation: 4,
		Generations: []protocol.Generation{
			draining(1, 4711, 14*time.Minute, "v1.4.0", 0, 0, 3),
			draining(2, 4790, 8*time.Minute+3*time.Second, "v1.4.1", 1),
			{Generation: 3, PID: 4801, State: protocol.Unresponsive, Binary: binary},
			{
				Generation: 4, PID: 104822, State: protocol.Serving, Since: before(50*time.Hour + 30*time.Second), Binary: binary,
				Build: protocol.Build{Version: "v1.4.3-0.20240228101112-0123456789ab"}, Groups: connectionsOf(1812, 2, 120),
			},
			{
				Generation: 5, PID: 104990, State: protocol.Probation, Since: before(2 * time.Second), Until: looked.Add(8 * time.Second), Binary: binary,
				Build: protocol.Build{Version: "(devel)", Revision: "89e1c124d386b3e0", Modified: true}, Groups: connectionsOf(7),
			},
		},
		Upgrades: protocol.Upgrades{
			InProgress: true, Succeeded: 3, Failed: 2, LastSeconds: &took,
			LastFailure: "upgrade failed at listen: pid 4712: /etc/example/gateway.conf:7: [web]: listen tcp :443: bind: permission denied",
		},
	}
}

// pageOf is a screen of that many columns, and what is on it.
func pageOf(columns int) (*screen, *bytes.Buffer) {
	buf := new(bytes.Buffer)
	return &screen{w: buf, size: func() (int, int) { return columns, 0 }}, buf
}

// The same status where lines may be of any length, on a narrow and on a wide terminal.
func TestStatusGolden(t *testing.T) {
	for _, columns := range []int{0, 80, 200} {
		s, buf := pageOf(columns)
		v := view{status: crowded(), now: looked, s: s}
		v.write()
		golden(t, fmt.Sprintf("status-%d.golden", columns), buf.String())
		for line := range strings.Lines(buf.String()) {
			if n := runes(strings.TrimSuffix(line, "\n")); columns > 0 && n > columns {
				t.Errorf("at %d columns a line has %d: %s", columns, n, line)
			}
		}
	}
}

func TestStatusOfASmallDaemonGolden(t *testing.T) {
	s, buf := pageOf(80)
	status := &protocol.Status{
		PIDFile: "app.pid", Config: "/etc/app.conf", Generation: 1,
		Generations: []protocol.Generation{{
			Generation: 1, PID: 811, State: protocol.Serving, Since: before(3 * time.Second), Binary: "/usr/bin/app", Groups: connectionsOf()[:1],
		}},
	}
	v := view{status: status, now: looked, s: s}
	v.write()
	golden(t, "status-small.golden", buf.String())
}

// Colours change no widths.
func TestColoursTakeNoRoom(t *testing.T) {
	s, buf := pageOf(80)
	s.colour = true
	v := view{status: crowded(), now: looked, s: s}
	v.write()
	coloured := buf.String()
	if !strings.Contains(coloured, "\x1b[32mserving\x1b[0m") {
		t.Errorf("a serving generation is not green: %q", coloured)
	}
	for _, c := range []colour{bold, dim, red, green, yellow, cyan} {
		coloured = strings.ReplaceAll(coloured, "\x1b["+string(c)+"m", "")
	}
	s, buf = pageOf(80)
	v = view{status: crowded(), now: looked, s: s}
	v.write()
	if coloured = strings.ReplaceAll(coloured, "\x1b[0m", ""); coloured != buf.String() {
		t.Errorf("without colours it is\n%s\nwant\n%s", coloured, buf.String())
	}
}

func TestVersionOfABuild(t *testing.T) {
	for _, test := range []struct {
		build protocol.Build
		want  string
	}{
		{protocol.Build{}, "-"},
		{protocol.Build{Version: "v1.2.3", Revision: "0123456789"}, "v1.2.3"},
		{protocol.Build{Version: "(devel)", Revision: "0123456789"}, "0123456"},
		{protocol.Build{Revision: "0123456789", Modified: true}, "0123456+"},
		{protocol.Build{Version: "(devel)"}, "(devel)"},
		{protocol.Build{Version: "(devel)", Modified: true}, "(devel)"},
	} {
		if got := version(test.build); got != test.want {
			t.Errorf("version(%+v) = %q, want %q", test.build, got, test.want)
		}
	}
}

// A column that can be no narrower pushes the next one aside, and nothing is lost.
func TestCellThatIsTooLong(t *testing.T) {
	s, buf := pageOf(10)
	table := &table{
		columns: []column{{title: "A", least: 3, shrink: withoutAgo}, {title: "B"}},
		rows:    [][]cell{{{text: "1001 days ago"}, {text: "next"}}},
	}
	table.write(s)
	if want := "A     B\n1001 days next\n"; buf.String() != want {
		t.Errorf("it is %q, want %q", buf.String(), want)
	}
}

// What a daemon says may be a hostile user's words: none of it acts on the operator's terminal.
func TestNothingOfADaemonsActsOnTheTerminal(t *testing.T) {
	const hostile = "\x1b]0;owned\x07\x1b[2J\u009b31m\x7f\xff\nroot#"
	status := crowded()
	status.PIDFile, status.Config, status.Log, status.Upgrades.LastFailure = hostile, hostile, hostile, hostile
	for i := range status.Generations {
		g := &status.Generations[i]
		g.Binary, g.Build.Version, g.State = hostile, hostile, hostile
		for j := range g.Groups {
			g.Groups[j].Name, g.Groups[j].Address, g.Groups[j].Mode = hostile, hostile, hostile
		}
	}
	page, out := pageOf(0)
	(&view{status: status, now: looked, s: page}).write()
	a := newApp(page, page)
	a.say("upgraded: %s", hostile)
	a.complain(rootCommand(a), "", errors.New(hostile))
	(&progress{s: page}).step(hostile, "…")
	(&watcher{app: a}).printLine(status, nil)
	(&watcher{app: a}).printLine(nil, errors.New(hostile))
	a.out.Error = hostile
	a.printJSON()
	for _, r := range out.String() {
		if r != '\n' && !unicode.IsPrint(r) {
			t.Fatalf("%U is written: %q", r, out)
		}
	}
}

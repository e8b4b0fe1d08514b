package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/printable"
)

// view shows a status to people.
type view struct {
	status *protocol.Status
	now    time.Time
	s      *screen
}

func (v *view) write() {
	v.writeHead()
	v.s.printf("\n")
	v.writeGenerations()
	if groups := v.groups(); len(groups) > 0 {
		v.s.printf("\n")
		v.writeGroups(groups)
	}
}

// writeHead says in a line what is going on, and then what all generations have in common.
func (v *view) writeHead() {
	file := printable.Line(v.status.PIDFile)
	head := wrap(file+": "+v.summary(), v.s.width()-len(indent))
	if rest, ok := strings.CutPrefix(head[0], file); ok { // it is wrapped where it has blanks
		head[0] = v.s.paint(bold, file) + rest
	}
	v.s.printf("%s\n", strings.Join(head, "\n"+indent))
	row := func(name, text string) {
		const names = 15
		for i, line := range wrap(printable.Line(text), max(v.s.width()-names, 0)) {
			if i > 0 {
				name = ""
			}
			v.s.printf("%s%s\n", v.s.paint(dim, fmt.Sprintf("%-*s", names, name)), line)
		}
	}
	row("configuration", cmp.Or(v.status.Config, "-"))
	if v.status.Log != "" {
		row("log", v.status.Log)
	}
	row("upgrades", v.upgrades())
	if v.isBinaryChanged() {
		row("binary", "replaced since this process started: the next upgrade or restart takes the new one")
	}
	if v.status.Upgrades.LastFailure != "" {
		row("last failure", v.status.Upgrades.LastFailure)
	}
}

func (v *view) isBinaryChanged() bool {
	return slices.ContainsFunc(v.status.Generations, func(g protocol.Generation) bool { return g.State == protocol.Serving && g.Changed })
}

func (v *view) summary() string {
	count := make(map[protocol.State]int)
	text := "no generation serves"
	for _, g := range v.status.Generations {
		count[g.State]++
		if g.State == protocol.Serving {
			text = fmt.Sprintf("generation %d (pid %d) serves", g.Generation, g.PID)
		}
	}
	for _, state := range []struct {
		is    protocol.State
		words string
	}{
		{protocol.Starting, "%d starting"},
		{protocol.Probation, "%d on probation"},
		{protocol.Draining, "%d draining"},
		{protocol.Unresponsive, "%d not answering"},
	} {
		if n := count[state.is]; n > 0 {
			text += fmt.Sprintf(", "+state.words, n)
		}
	}
	return text
}

func (v *view) upgrades() string {
	u := v.status.Upgrades
	text := fmt.Sprintf("%d succeeded, %d failed", u.Succeeded, u.Failed)
	if u.LastSeconds != nil {
		text += ", the last took " + span(seconds(*u.LastSeconds))
	}
	if u.InProgress {
		text += ", one in progress"
	}
	return text
}

// writeGenerations prints the table, the newest first: it is the one that is looked for.
func (v *view) writeGenerations() {
	t := &table{columns: []column{
		{title: "GEN", right: true},
		{title: "PID", right: true},
		{title: "STATE"},
		{title: "SINCE", least: 6, shrink: withoutAgo},
		{title: "VERSION", least: 8, shrink: keepBeginning},
		{title: "BINARY", least: 8, shrink: keepEnd},
		{title: "CONNECTIONS", least: 14, shrink: wrapList},
		{title: "DEADLINE"},
	}}
	for _, g := range slices.Backward(v.status.Generations) {
		t.rows = append(t.rows, v.row(g))
	}
	t.write(v.s)
}

func (v *view) row(g protocol.Generation) []cell {
	state := string(g.State)
	return []cell{
		{text: strconv.Itoa(g.Generation)},
		{text: strconv.Itoa(g.PID)},
		{text: state, colour: stateColours[g.State]},
		{text: ago(v.now, g.Since)},
		{text: version(g.Build)},
		{text: cmp.Or(g.Binary, "-")},
		{text: connections(g)},
		{text: in(v.now, g.Until)},
	}
}

var stateColours = map[protocol.State]colour{
	protocol.Starting:     cyan,
	protocol.Probation:    cyan,
	protocol.Serving:      green,
	protocol.Draining:     yellow,
	protocol.Unresponsive: red,
}

// version is what tells builds apart: the module's version, or else the revision.
func version(b protocol.Build) string {
	if b.Version != "" && b.Version != "(devel)" {
		return b.Version
	}
	revision := b.Revision
	if len(revision) > 7 {
		revision = revision[:7]
	}
	if b.Modified && revision != "" {
		revision += "+"
	}
	return cmp.Or(revision, b.Version, "-")
}

// connections are those of each group; all groups are there where one has any.
func connections(g protocol.Generation) string {
	if g.Groups == nil {
		return "?"
	}
	var parts []string
	for _, group := range g.Groups {
		if group.Open > 0 || g.State != protocol.Draining {
			parts = append(parts, fmt.Sprintf("%s %d", group.Name, group.Open))
		}
	}
	return cmp.Or(strings.Join(parts, ", "), "none")
}

// open is the number of connections of all groups.
func open(g protocol.Generation) int {
	n := 0
	for _, group := range g.Groups {
		n += group.Open
	}
	return n
}

// groups are those of the generation that was asked.
func (v *view) groups() []protocol.Group {
	for _, g := range v.status.Generations {
		if g.Generation == v.status.Generation {
			return g.Groups
		}
	}
	return nil
}

func (v *view) writeGroups(groups []protocol.Group) {
	t := &table{columns: []column{
		{title: "GROUP"},
		{title: "MODE"},
		{title: "ADDRESS", least: 12, shrink: keepEnd},
		{title: "ACCEPTED", right: true},
		{title: "MOVED IN", right: true},
		{title: "MOVED OUT", right: true},
	}}
	for _, g := range groups {
		t.rows = append(t.rows, []cell{
			{text: g.Name},
			{text: g.Mode},
			{text: g.Network + " " + g.Address},
			{text: strconv.FormatUint(g.Accepted, 10)},
			{text: strconv.FormatUint(g.MovedIn, 10)},
			{text: strconv.FormatUint(g.MovedOut, 10)},
		})
	}
	t.write(v.s)
}

// count is a number of things: "1 generation", "3 generations".
func count(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}

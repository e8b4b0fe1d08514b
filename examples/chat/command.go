package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// usage is the answer to a command that there is not.
const usage = "* there are /nick NAME, /join ROOM, /who, /stats and /quit; anything else is said to the room\n"

// answer does what a line says, and promises its answer to m. It reports whether m
// stays.
func (h *hall) answer(m *member, line string) bool {
	if line == "" {
		return true
	}
	if !strings.HasPrefix(line, "/") {
		if !h.say(m, line) {
			m.out.add("* nobody hears you: /join ROOM\n")
		}
		return true
	}
	command, argument, _ := strings.Cut(line, " ")
	return h.obey(m, command, strings.TrimSpace(argument))
}

func (h *hall) obey(m *member, command, argument string) bool {
	switch command {
	case "/nick", "/join":
		h.choose(m, command, argument)
	case "/who":
		h.describe(m, whoLine)
	case "/stats":
		h.describe(m, h.statsLine)
	case "/quit":
		m.out.add("* bye\n")
		return false
	default:
		m.out.add(usage)
	}
	return true
}

// choose does the commands with a name.
func (h *hall) choose(m *member, command, name string) {
	switch {
	case !isName(name):
		m.out.add("* a name has 1 to 20 letters, digits, dots, dashes and underlines\n")
	case command == "/nick":
		h.rename(m, name)
	case !h.join(m, name):
		m.out.add("* " + name + " is full\n")
	}
}

func whoLine(s state) string {
	if s.Room == "" {
		return "* you are in no room\n"
	}
	return fmt.Sprintf("* in %s: %s\n", s.Room, strings.Join(slices.Sorted(maps.Values(s.With)), " "))
}

func (h *hall) statsLine(s state) string {
	return fmt.Sprintf("* %s: said %d, heard %d, moved %d, generation %d\n", s.Nick, s.Said, s.Heard, s.Moved, h.generation)
}

// isName reports whether users may choose the name for themselves or a room. Names
// need not be unique.
func isName(name string) bool {
	const most = 20
	for _, c := range name {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '-', c == '_':
		default:
			return false
		}
	}
	return name != "" && len(name) <= most
}

package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// screen is where something is written for people, who may look at it on a terminal.
type screen struct {
	w        io.Writer
	terminal bool // somebody looks at it, and control characters act
	live     bool // a terminal on which the cursor moves: lines can be written anew
	colour   bool
	size     func() (width, height int) // columns and lines; 0 where there is no limit
	err      error                      // the first of a write
}

// newScreen looks what w is, and what the environment, by getenv, says about it:
// NO_COLOR (no-color.org) and TERM.
func newScreen(w io.Writer, getenv func(string) string) *screen {
	s := &screen{w: w, size: func() (int, int) { return 0, 0 }}
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return s
	}
	s.terminal = true
	s.live = getenv("TERM") != "dumb" && getenv("TERM") != ""
	s.colour = s.live && getenv("NO_COLOR") == ""
	s.size = func() (int, int) {
		width, height, err := term.GetSize(int(f.Fd()))
		if err != nil {
			return 0, 0
		}
		return width, height
	}
	return s
}

// width is the number of columns; 0 where lines may be of any length.
func (s *screen) width() int {
	width, _ := s.size()
	return width
}

func (s *screen) printf(format string, args ...any) {
	if _, err := fmt.Fprintf(s.w, format, args...); err != nil && s.err == nil {
		s.err = err
	}
}

// colour is the parameter of an SGR sequence (ECMA-48, 8.3.117).
type colour string

const (
	plain  colour = ""
	bold   colour = "1"
	dim    colour = "2"
	red    colour = "31"
	green  colour = "32"
	yellow colour = "33"
	cyan   colour = "36"
)

// paint returns text in a colour, if the screen has any.
func (s *screen) paint(c colour, text string) string {
	if !s.colour || c == plain || text == "" {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}

// rewind moves the cursor to the beginning of the line that is n lines up, and
// clears everything from there.
func (s *screen) rewind(n int) {
	if n > 0 {
		s.printf("\x1b[%dA", n)
	}
	s.printf("\r\x1b[J")
}

// cutLines makes a terminal drop what is beyond its last column; wrapLines makes it continue on the next line, which is the default (DECAWM). Only
// the terminal knows for sure how wide a text is.
const (
	cutLines  = "\x1b[?7l"
	wrapLines = "\x1b[?7h"
)

// wrap breaks text at blanks into lines of at most width columns, where that can be
// done. A width of 0 is no limit.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == "":
			line = word
		case width > 0 && runes(line)+1+runes(word) > width:
			lines = append(lines, line)
			line = word
		default:
			line += " " + word
		}
	}
	return append(lines, line)
}

// fold breaks a line at blanks where a terminal would break it anywhere. What goes elsewhere stays
// as it is.
func (s *screen) fold(line string) string {
	if !s.live {
		return line
	}
	return strings.Join(wrap(line, max(s.width()-len(indent), 0)), "\n"+indent)
}

// runes is how many columns text has, as far as that can be said.
func runes(text string) int { return len([]rune(text)) }

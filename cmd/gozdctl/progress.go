package main

import (
	"cmp"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/printable"
)

// progress tells what happens while it happens. On a terminal it is one line that
// grows, and whose end is written anew; otherwise each step is a line.
type progress struct {
	s    *screen
	line string // what stands on the present line of the terminal
	live string // what stands behind that, and will be replaced
}

const indent = "  " // of a line that carries on the one before

// step adds what has happened. mark is what follows it on a line: "…" where the next step
// is waited for.
func (p *progress) step(text, mark string) {
	text = printable.Line(text)
	if !p.s.live {
		p.s.printf("%s\n", text)
		return
	}
	p.erase()
	text += mark
	switch {
	case p.line == "" || p.line == indent:
		p.line += text
	case p.fits(text):
		p.line += " " + text
	default:
		p.s.printf("\n")
		p.line = indent + text
	}
	p.redraw()
}

// now shows what is so at the moment; the next step, or the next now, replaces it. Where lines
// cannot be written anew it says nothing.
func (p *progress) now(text string) {
	text = printable.Line(text)
	if !p.s.live || text == p.live {
		return
	}
	p.erase()
	if !p.fits(text) {
		p.s.printf("\n")
		p.line = indent
	}
	p.live = text
	p.redraw()
}

// end ends the line.
func (p *progress) end() {
	p.erase()
	if p.line != "" && p.s.live {
		p.s.printf("\n")
	}
	p.line = ""
}

// assumedWidth is that of a terminal which does not say how wide it is: a line that is written anew must not grow without end.
const assumedWidth = 80

func (p *progress) fits(text string) bool {
	width := cmp.Or(p.s.width(), assumedWidth)
	return p.line == "" || runes(p.line)+1+runes(text) < width // the last column is for the cursor
}

func (p *progress) erase() {
	if p.live == "" {
		return
	}
	p.live = ""
	p.redraw()
}

func (p *progress) redraw() {
	p.s.printf("\r\x1b[K%s", p.line)
	if p.live == "" {
		return
	}
	if p.line != indent && p.line != "" {
		p.s.printf(" ")
	}
	p.s.printf("%s", p.s.paint(dim, p.live))
}

// bar shows how much of the whole is done, in width columns.
func bar(done, whole, width int) string {
	full := width
	if whole > 0 {
		full = min(max(done*width/whole, 0), width)
	}
	text := make([]rune, width)
	for i := range text {
		text[i] = '░'
		if i < full {
			text[i] = '█'
		}
	}
	return string(text)
}

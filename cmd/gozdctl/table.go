package main

import (
	"strings"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/printable"
)

// column is one column of a table.
type column struct {
	title string
	right bool // numbers

	// least and shrink are of a column that gets narrower where the table has no
	// room: not under least, and by shrink, which returns the lines of a cell.
	least  int
	shrink func(text string, width int) []string
}

// cell is what stands in a table.
type cell struct {
	text   string
	colour colour
}

// table is laid out for a width.
type table struct {
	columns []column
	rows    [][]cell
}

const gap = 2 // columns between columns

// write prints the table on s. What does not fit is shrunk, the columns with the most
// to give first; a table that cannot be narrow enough is as narrow as it can be.
func (t *table) write(s *screen) {
	for _, row := range t.rows {
		for i := range row {
			row[i].text = printable.Line(row[i].text)
		}
	}
	widths := t.widths(s.width())
	titles := make([]cell, len(t.columns))
	for i, c := range t.columns {
		titles[i] = cell{c.title, dim}
	}
	for _, row := range append([][]cell{titles}, t.rows...) {
		t.writeRow(s, row, widths)
	}
}

// widths returns those of the columns for a screen that has limit columns, 0 for any.
func (t *table) widths(limit int) []int {
	widths := make([]int, len(t.columns))
	total := -gap
	for i, c := range t.columns {
		widths[i] = runes(c.title)
		for _, row := range t.rows {
			widths[i] = max(widths[i], runes(row[i].text))
		}
		total += widths[i] + gap
	}
	for ; limit > 0 && total > limit; total-- {
		i := t.widest(widths)
		if i < 0 {
			break
		}
		widths[i]--
	}
	return widths
}

// widest returns the column that has the most to give, or -1.
func (t *table) widest(widths []int) int {
	found, most := -1, 0
	for i, c := range t.columns {
		if spare := widths[i] - c.least; c.shrink != nil && spare > most {
			found, most = i, spare
		}
	}
	return found
}

// writeRow prints a row, which has as many lines as its longest cell.
func (t *table) writeRow(s *screen, row []cell, widths []int) {
	lines := make([][]string, len(row))
	height := 1
	for i, c := range row {
		lines[i] = t.columns[i].fit(c.text, widths[i])
		height = max(height, len(lines[i]))
	}
	for n := range height {
		var line strings.Builder
		written := 0 // columns of the screen
		begin := 0   // of the present column
		for i, c := range row {
			if text := at(lines[i], n); text != "" {
				from := begin
				if t.columns[i].right {
					from += max(widths[i]-runes(text), 0)
				}
				if written > 0 {
					from = max(from, written+1) // the cell before may be longer than its column can be
				}
				line.WriteString(strings.Repeat(" ", from-written) + s.paint(c.colour, text))
				written = from + runes(text)
			}
			begin += widths[i] + gap
		}
		s.printf("%s\n", line.String())
	}
}

// fit returns the lines of a cell in a column of that width.
func (c *column) fit(text string, width int) []string {
	if c.shrink == nil || runes(text) <= width {
		return []string{text}
	}
	return c.shrink(text, width)
}

// at is the line with number n, empty where there are fewer.
func at(lines []string, n int) string {
	if n < len(lines) {
		return lines[n]
	}
	return ""
}

// keepEnd shortens a path to its end, which tells more than its beginning.
func keepEnd(text string, width int) []string {
	r := []rune(text)
	if len(r) <= width {
		return []string{text}
	}
	short := string(r[len(r)-width+1:])
	// From a slash on, where that loses little.
	if i := strings.IndexByte(short, '/'); i >= 0 && i <= width/3 {
		short = short[i:]
	}
	return []string{"…" + short}
}

// wrapList breaks a list at its commas.
func wrapList(text string, width int) []string {
	var lines []string
	for item := range strings.SplitSeq(text, ", ") {
		last := len(lines) - 1
		if last >= 0 && runes(lines[last])+1+runes(item)+1 <= width {
			lines[last] += " " + item + ","
		} else {
			lines = append(lines, item+",")
		}
	}
	lines[len(lines)-1] = strings.TrimSuffix(lines[len(lines)-1], ",")
	return lines
}

// keepBeginning shortens a version, which differs at its beginning from others.
func keepBeginning(text string, width int) []string {
	r := []rune(text)
	if len(r) <= width {
		return []string{text}
	}
	return []string{string(r[:width-1]) + "…"}
}

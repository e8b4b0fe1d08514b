package main

import (
	"strings"
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
		lines[i] = []string{c.text}
		if shrink := t.columns[i].shrink; shrink != nil && runes(c.text) > widths[i] {
			lines[i] = shrink(c.text, widths[i])
		}
		height = max(height, len(lines[i]))
	}
	for n := range height {
		var line strings.Builder
		pending := 0 // blanks that are only written before something
		for i, c := range row {
			text := ""
			if n < len(lines[i]) {
				text = lines[i][n]
			}
			blanks := max(widths[i]-runes(text), 0)
			if t.columns[i].right {
				pending, blanks = pending+blanks, 0
			}
			if text != "" {
				line.WriteString(strings.Repeat(" ", pending) + s.paint(c.colour, text))
				pending = 0
			} else {
				blanks = widths[i]
				if t.columns[i].right {
					blanks = 0
				}
			}
			pending += blanks + gap
		}
		s.printf("%s\n", line.String())
	}
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

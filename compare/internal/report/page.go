package report

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The lines between which a page has the figures. They show nothing.
const (
	begin = "<!-- figures: written by go run -C compare . -docs -render -->"
	end   = "<!-- end of figures -->"
)

// Pages are the pages with figures, by their paths in the repository.
var Pages = map[string]func(Result) string{
	"docs/compare.md": Result.Markdown,
	"README.md":       func(r Result) string { return markdownTable(r.inShort().Cells) },
}

// Page returns the page with figures between its marks.
func Page(page []byte, figures string) ([]byte, error) {
	head, rest, ok1 := bytes.Cut(page, []byte(begin))
	_, tail, ok2 := bytes.Cut(rest, []byte(end))
	if !ok1 || !ok2 {
		return nil, errors.New("the page has no marks for the figures")
	}
	return fmt.Appendf(nil, "%s%s\n\n%s\n%s%s", head, begin, figures, end, tail), nil
}

// Update writes the figures into the pages of the repository at root.
func Update(root string, r Result) error {
	for name, figures := range Pages {
		path := filepath.Join(root, name)
		page, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if page, err = Page(page, figures(r)); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if err := os.WriteFile(path, page, 0o644); err != nil { //nolint:gosec // it is for everybody
			return err
		}
	}
	return nil
}

// pictures are shown above the tables that they belong to.
var pictures = map[string][2]string{
	"Failures per 1,000 clients and upgrade":  {"failures.svg", "Lost requests by tool and client"},
	"Times and memory":                        {"gone.svg", "How long the old process lives on, by tool"},
	"Latency of the clients `new` and `busy`": {"latency.svg", "Latency around an upgrade, by tool"},
	"Idle connections of gozd, http":          {"idle.svg", "Time and memory that idle connections take to move"},
}

// Markdown returns the notes on the run, all tables with their pictures, and the other notes.
func (r Result) Markdown() string {
	var b strings.Builder
	for _, n := range r.Notes {
		if n.About == Machine || n.About == Run {
			fmt.Fprintf(&b, "* %s%s.\n", strings.ToUpper(n.Text[:1]), n.Text[1:])
		}
	}
	for _, t := range r.Tables() {
		fmt.Fprintf(&b, "\n### %s\n\n", t.Title)
		if p, ok := pictures[t.Title]; ok {
			fmt.Fprintf(&b, "![%s](compare/%s)\n\n", p[1], p[0])
		}
		fmt.Fprintf(&b, "%s\n\n%s", t.Text, markdownTable(t.Cells))
	}
	fmt.Fprint(&b, "\n### Set-ups\n\n")
	fmt.Fprint(&b, markdownTable(r.setups()))
	fmt.Fprint(&b, "\n### What the figures do not say\n\n")
	for _, n := range r.Notes {
		if n.About == Unfair {
			fmt.Fprintf(&b, "* %s\n", n.Text)
		}
	}
	return b.String()
}

// setups says of each tool what was measured, or why it was not.
func (r Result) setups() [][]string {
	cells := [][]string{{"tool", "version", "set-up and signal"}}
	for _, n := range r.Notes {
		switch n.About {
		case How:
			cells = append(cells, []string{n.Tool, "", n.Text})
		case Version, Skipped, Failed:
			last := cells[len(cells)-1]
			text := n.Text
			if n.About != Version {
				text = n.About + ": " + text
			}
			if last[0] == n.Tool && last[1] == "" {
				last[1] = text
			} else {
				cells = append(cells, []string{n.Tool, text, ""})
			}
		}
	}
	return cells
}

func markdownTable(cells [][]string) string {
	var b strings.Builder
	for i, row := range cells {
		escaped := make([]string, len(row))
		for j, cell := range row {
			escaped[j] = strings.ReplaceAll(cell, "|", "\\|")
		}
		fmt.Fprintf(&b, "| %s |\n", strings.Join(escaped, " | "))
		if i == 0 {
			b.WriteString(strings.Repeat("|---", len(row)) + "|\n")
		}
	}
	return b.String()
}

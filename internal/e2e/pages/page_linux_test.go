package pages

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// root is the directory of the module.
const root = "../../.."

const modulePath = "bitbucket.org/PinIdea/go-zero-downtime-daemon"

var must = require.NoError

// block is one fenced block of a page.
type block struct {
	page    string
	heading string // above it
	line    int    // of its first line
	// info is what stands behind the opening fence: the language, and then what the tests want to know of the block.
	info string
	text string
}

// file is the name of the file that the block is, as in "```go main.go".
func (b *block) file() string {
	_, name, _ := strings.Cut(b.info, " ")
	return name
}

// blocks reads a page, such as "docs/tutorial.md".
func blocks(t *testing.T, page string) []block {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, page))
	must(t, err)
	var all []block
	open, heading := false, ""
	for i, line := range strings.Split(string(text), "\n") {
		fence, isFence := strings.CutPrefix(line, "```")
		switch {
		case isFence && !open:
			all = append(all, block{page: page, heading: heading, line: i + 2, info: fence})
			open = true
		case isFence:
			open = false
		case open:
			all[len(all)-1].text += line + "\n"
		case strings.HasPrefix(line, "#"):
			heading = strings.TrimLeft(line, "# ")
		}
	}
	return all
}

// command is a line to type, and what the page says is printed then.
type command struct {
	line int
	text string
	want []string
}

// commands are those of a block whose lines begin with the prompt.
func (b *block) commands(prompt string) []command {
	var all []command
	for i, line := range strings.Split(strings.TrimSuffix(b.text, "\n"), "\n") {
		if text, ok := strings.CutPrefix(line, prompt); ok {
			all = append(all, command{line: b.line + i, text: text})
		} else if len(all) > 0 {
			last := &all[len(all)-1]
			last.want = append(last.want, line)
		}
	}
	return all
}

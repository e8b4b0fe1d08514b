package pages

import (
	"flag"
	"fmt"
	"html"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "run the demo as the README says, and write docs/demo.svg anew")

const picture = root + "/docs/demo.svg"

// The README's picture is what the demo prints, but for the numbers.
func TestPictureShowsTheDemo(t *testing.T) {
	args := []string{"run", "./examples/demo"}
	if !*update {
		args = append(args, "-upgrades", "1", "-every", "1500ms")
	}
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("demo: %v\n%s", err, out)
	}
	if *update {
		must(t, os.WriteFile(picture, []byte(svg("go run ./examples/demo", string(out))), 0o600))
	}
	text, err := os.ReadFile(filepath.FromSlash(picture))
	must(t, err)
	shown := shownIn(string(text))
	if again := svg("go run ./examples/demo", shown); again != string(text) {
		t.Errorf("%s was changed by hand: go test ./internal/e2e/pages -run Picture -update", picture)
	}
	want := make(map[string]bool)
	for line := range strings.Lines(string(out)) {
		want[kind(line)] = true
	}
	for line := range strings.Lines(shown) {
		if !want[kind(line)] {
			t.Errorf("the demo prints nothing like %q", line)
		}
	}
}

var values = regexp.MustCompile(`[0-9.:]*[0-9][0-9.:]*(µs|ms|s)?( +[0-9.:]*[0-9][0-9.:]*(µs|ms|s)?)*`)

// kind is a line without its numbers, and without its columns.
func kind(line string) string {
	return strings.Join(strings.Fields(values.ReplaceAllString(line, "N")), " ")
}

// The size of one character, in pixels.
const (
	charWidth  = 7.25
	lineHeight = 17
)

// svg draws a terminal in which a command has printed output, in colours that can be read on light and on dark pages.
func svg(command, output string) string {
	lines := append([]string{"$ " + command}, strings.Split(strings.TrimSuffix(output, "\n"), "\n")...)
	columns := 0
	var text strings.Builder
	for i, line := range lines {
		columns = max(columns, len([]rune(line)))
		class := ""
		switch {
		case i == 0:
			class = ` class="typed"`
		case i == len(lines)-1:
			class = ` class="result"`
		}
		fmt.Fprintf(&text, "<text x=\"12\" y=\"%d\"%s>%s</text>\n", 24+i*lineHeight, class, html.EscapeString(line))
	}
	width, height := 24+int(float64(columns)*charWidth), 24+len(lines)*lineHeight
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d">
<style>
text { font: 12px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; white-space: pre; fill: #24292f }
rect { fill: #f6f8fa; stroke: #d0d7de }
.typed { font-weight: bold }
.result { font-weight: bold; fill: #1a7f37 }
@media (prefers-color-scheme: dark) {
text { fill: #c9d1d9 }
rect { fill: #161b22; stroke: #30363d }
.result { fill: #3fb950 }
}
</style>
<rect x="0.5" y="0.5" width="%d" height="%d" rx="6"/>
%s</svg>
`, width, height, width-1, height-1, &text)
}

var textElement = regexp.MustCompile(`(?m)^<text [^>]*>(.*)</text>$`)

// shownIn is the output in a picture that svg has drawn.
func shownIn(picture string) string {
	var lines strings.Builder
	for i, m := range textElement.FindAllStringSubmatch(picture, -1) {
		if i > 0 { // the first is the command
			fmt.Fprintln(&lines, html.UnescapeString(m[1]))
		}
	}
	return lines.String()
}

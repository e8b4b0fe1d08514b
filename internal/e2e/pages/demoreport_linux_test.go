package pages

import (
	"fmt"
	"html"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/browser"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// The page that the demo writes has the table that it prints, and can be read on a desk and on a telephone.
func TestDemoReport(t *testing.T) {
	page := filepath.Join(t.TempDir(), "report.html")
	cmd := exec.CommandContext(t.Context(), "go", "run", "./examples/demo", "-upgrades", "3", "-every", "600ms", "-report", page)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("demo: %v\n%s", err, out)
	}
	text, err := os.ReadFile(page)
	must(t, err)
	if got, want := rowsOf(string(text)), printedRows(string(out)); len(want) < 5 || !slices.Equal(got, want) {
		t.Errorf("the page has the rows\n%s\nand the demo prints\n%s", strings.Join(got, "\n"), out)
	}
	b := browser.Start(t)
	b.Open(t, "file://"+page)
	require.Eventually(t, "the page", func() bool { return b.Eval(t, "[location.protocol, document.readyState]") == "file:,complete" })
	if n := b.Eval(t, "performance.getEntriesByType('resource').length"); n != "0" {
		t.Errorf("the page loads %s files", n)
	}
	for _, size := range []struct{ width, height int }{{1280, 900}, {390, 844}} {
		for _, scheme := range []string{"light", "dark"} {
			t.Run(fmt.Sprint(size.width, " ", scheme), func(t *testing.T) {
				call(t, b, "Emulation.setDeviceMetricsOverride", map[string]any{
					"width": size.width, "height": size.height, "screenWidth": size.width, "screenHeight": size.height,
					"deviceScaleFactor": 1, "mobile": size.width < 500,
				})
				call(t, b, "Emulation.setEmulatedMedia", map[string]any{
					"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}},
				})
				fits(t, b, size.width)
			})
		}
	}
}

func call(t *testing.T, b *browser.Browser, method string, params any) {
	t.Helper()
	_, err := b.Call(method, params)
	must(t, err)
}

// overlaps are the texts of the drawings that lie over each other, or reach beyond the box around their drawing.
const overlaps = `(() => {
	const bad = [];
	for (const plot of document.querySelectorAll('svg.plot')) {
		const box = plot.closest('section').getBoundingClientRect();
		const texts = [...plot.querySelectorAll('text')].map(e => [e.textContent, e.getBoundingClientRect()]);
		texts.forEach(([text, r], i) => {
			if (r.width === 0 || r.left < box.left || r.right > box.right || r.top < box.top || r.bottom > box.bottom) bad.push(text);
			for (const [other, o] of texts.slice(i + 1))
				if (r.left < o.right && o.left < r.right && r.top < o.bottom && o.top < r.bottom) bad.push(text + ' over ' + other);
		});
	}
	return bad.join(', ');
})()`

// fits checks what a reader sees in a window of that width.
func fits(t *testing.T, b *browser.Browser, width int) {
	t.Helper()
	require.Eventually(t, "a screen of that width", func() bool { return b.Eval(t, "screen.width") == fmt.Sprint(width) })
	// A telephone would show a page that is too wide in a wider window, and smaller; on a desk a scroll bar has its place beside the page.
	for _, expression := range []string{"scrollWidth", "clientWidth"} {
		got, err := strconv.Atoi(b.Eval(t, "document.documentElement."+expression))
		if err != nil || got > width || got < width-20 {
			t.Errorf("%s is %d in a window of %d", expression, got, width)
		}
	}
	if got := b.Eval(t, overlaps); got != "" {
		t.Errorf("texts without room: %s", got)
	}
	if got := b.Eval(t, "document.querySelectorAll('svg.plot text').length > 20"); got != "true" {
		t.Errorf("there are hardly any texts: %s", got)
	}
}

var (
	pageTable = regexp.MustCompile(`(?s)<table class="counts">.*?</table>`)
	pageRow   = regexp.MustCompile(`<tr>.*?</tr>`)
	pageTag   = regexp.MustCompile(`<[^>]*>`)
)

// rowsOf is the table on a page, a line each row, with one space between two words.
func rowsOf(page string) (rows []string) {
	for _, row := range pageRow.FindAllString(pageTable.FindString(page), -1) {
		words := strings.Fields(html.UnescapeString(pageTag.ReplaceAllString(row, " ")))
		rows = append(rows, strings.Join(words, " "))
	}
	return rows
}

// printedRows is the same of what the demo prints.
func printedRows(output string) (rows []string) {
	for line := range strings.Lines(output) {
		words := strings.Join(strings.Fields(line), " ")
		switch {
		case len(rows) > 0 && words == "":
			return rows
		case len(rows) > 0, strings.HasPrefix(words, "kind requests "):
			rows = append(rows, words)
		}
	}
	return rows
}

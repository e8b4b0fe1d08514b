package printable_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/printable"
)

func TestLine(t *testing.T) {
	for text, want := range map[string]string{
		"listen tcp :80: \"ü\" █ …": "listen tcp :80: \"ü\" █ …",
		"\x1b]0;title\x07\x1b[2J":   `\x1b]0;title\x07\x1b[2J`,
		"a\nb\tc\r\x7f":             `a\nb\tc\x0d\x7f`,
		"\u009b31m \u202e \u200b":   `\u009b31m \u202e \u200b`,
		"\x9b\xff":                  `\x9b\xff`,
		"\U000e0001":                `\U000e0001`,
	} {
		if got := printable.Line(text); got != want {
			t.Errorf("Line(%q) = %s, want %s", text, got, want)
		}
	}
}

// What is printable to Unicode and shows nothing is quoted, in JSON too.
func TestBlank(t *testing.T) {
	for _, r := range "\u3164\u2800\u115f\u1160\uffa0\u034f\ufe0f\u180b\u17b4\U000e0100\U00013441\U00016fe4\U0001d159" {
		want := strings.Trim(strconv.QuoteToASCII(string(r)), `"`)
		if got := printable.Line("a" + string(r)); got != "a"+want {
			t.Errorf("Line of %U = %q, want %s", r, got, want)
		}
		data := printable.JSON([]byte(`"` + string(r) + `"`))
		var back string
		if err := json.Unmarshal(data, &back); err != nil || back != string(r) || strings.ContainsRune(string(data), r) {
			t.Errorf("JSON of %U = %q, which holds %q, %v", r, data, back, err)
		}
	}
}

func TestBounds(t *testing.T) {
	long := strings.Repeat("ü", 64<<10)
	for _, got := range []string{printable.Line(long), printable.Text(long)} {
		if len(got) > 5<<10 || !strings.HasSuffix(got, " bytes more)") {
			t.Errorf("%d bytes, which end in %q", len(got), got[len(got)-30:])
		}
	}
	if got := printable.Text("a\n\tb\x1b\n" + strings.Repeat("line\n", 1<<20)); !strings.HasPrefix(got, "a\n\tb\\x1b\nline\n") || len(got) > 70<<10 {
		t.Errorf("%d bytes: %.40q", len(got), got)
	}
}

func FuzzPrintable(f *testing.F) {
	f.Add("\x1b[2J\u009b\xff\n\t")
	f.Fuzz(func(t *testing.T, text string) {
		for _, r := range printable.Line(text) {
			if !unicode.IsPrint(r) {
				t.Errorf("Line(%q) has %U", text, r)
			}
		}
		data, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		var before, after string
		if err := json.Unmarshal(data, &before); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(printable.JSON(data), &after); err != nil || after != before {
			t.Errorf("JSON of %q holds %q, %v", before, after, err)
		}
	})
}

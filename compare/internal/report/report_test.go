package report_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/compare/internal/report"
)

func TestPercentile(t *testing.T) {
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64(i + 1)
	}
	tests := []struct {
		name    string
		values  []float64
		percent int
		want    float64
	}{
		{"of none", nil, 50, 0},
		{"of one", []float64{7}, 1, 7},
		{"half of two", []float64{1, 2}, 50, 1},
		{"half of three", []float64{1, 2, 3}, 50, 2},
		{"least", hundred, 0, 1},
		{"p99", hundred, 99, 99},
		{"greatest", hundred, 100, 100},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := report.Percentile(tt.values, tt.percent); got != tt.want {
				t.Errorf("Percentile(%d values, %d) = %v, want %v", len(tt.values), tt.percent, got, tt.want)
			}
		})
	}
}

func TestSummarySorts(t *testing.T) {
	got := report.Summary([]float64{3, 1, 2})
	if want := map[string]float64{"p50": 2, "p99": 3, "max": 3}; !reflect.DeepEqual(got, want) {
		t.Errorf("Summary = %v, want %v", got, want)
	}
}

// example is a result with all that tables have.
func example() report.Result {
	var s report.Set
	for _, tool := range []string{"b, second", "a first"} {
		for _, client := range report.Clients {
			s.Add(report.Key{Tool: tool, Client: client[0], Metric: report.Failures}, 1000.0/3)
		}
		s.Add(report.Key{Tool: tool, Metric: report.Gone}, 12)
	}
	for i := range 5 {
		s.Add(report.Key{Tool: "a first", Metric: report.Ready}, float64(i))
	}
	s.Add(report.Key{Tool: "gozd", Client: "http", Metric: report.Moved, X: 1000}, 1000)
	return report.Result{
		Rows: s.Rows([]string{"b, second", "a first", "gozd"}),
		Notes: []report.Note{
			{About: report.Machine, Text: "one with \"quotes\", and a | bar"},
			{Tool: "a first", About: report.How, Text: "so"},
			{Tool: "a first", About: report.Version, Text: "v1"},
			{Tool: "b, second", About: report.How, Text: "else"},
			{Tool: "b, second", About: report.Skipped, Text: "why | not"},
			{About: report.Unfair, Text: "caveat"},
		},
	}
}

func TestCSVRoundTrip(t *testing.T) {
	dir, want := t.TempDir(), example()
	if err := want.Write(dir); err != nil {
		t.Fatal(err)
	}
	got, err := report.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.Notes, want.Notes) || len(got.Rows) != len(want.Rows) {
		t.Fatalf("read %d rows and %q, want %d and %q", len(got.Rows), got.Notes, len(want.Rows), want.Notes)
	}
	for i, row := range got.Rows {
		if w := want.Rows[i]; row.Key != w.Key || row.N != w.N || row.Mid-w.Mid > .001 || w.Mid-row.Mid > .001 {
			t.Errorf("row %d is %+v, want %+v", i, row, w)
		}
	}
	// What has been read is what will be written: a page made of it does not change.
	again := t.TempDir()
	if err := got.Write(again); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"results.csv", "notes.csv"} {
		first, err1 := os.ReadFile(filepath.Join(dir, name))
		second, err2 := os.ReadFile(filepath.Join(again, name))
		if err1 != nil || err2 != nil || string(first) != string(second) {
			t.Errorf("%s differs after a round trip (%v, %v)", name, err1, err2)
		}
	}
}

func TestReadSaysWhatIsWrong(t *testing.T) {
	const head = "tool,client,metric,x,low,median,high,samples\n"
	tests := []struct{ name, rows, want string }{
		{"empty", "", "the first record is not"},
		{"other head", "a,b,c,d,e,f,g,h\n", "the first record is not"},
		{"a number", head + "t,c,m,0,1,x,3,1\n", "results.csv: record 2"},
		{"fields", head + "t,c\n", "wrong number of fields"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "results.csv"), []byte(tt.rows), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := report.Read(dir); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Read = %v, want %q", err, tt.want)
			}
		})
	}
}

// Samples come in any order; rows do not.
func TestRowsAreOrdered(t *testing.T) {
	var keys []report.Key
	for _, tool := range []string{"x", "y"} {
		for _, metric := range []string{report.Ready, report.Timeline} {
			for x := range 3 {
				keys = append(keys, report.Key{Tool: tool, Metric: metric, X: x})
			}
		}
	}
	want := add(keys)
	for range 5 {
		rand.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
		if got := add(keys); !reflect.DeepEqual(got, want) {
			t.Fatalf("rows are %v, want %v", got, want)
		}
	}
}

func add(keys []report.Key) []report.Row {
	var s report.Set
	for _, k := range keys {
		s.Add(k, 1)
	}
	return s.Rows([]string{"y", "x"})
}

func TestTables(t *testing.T) {
	var b strings.Builder
	if err := example().WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"FAILURES PER 1,000", "b, second", "333", "2 (0 to 4)", "IDLE CONNECTIONS OF GOZD, HTTP", "b, second, left out: why | not"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the text has no %q:\n%s", want, b.String())
		}
	}
}

func TestPageKeepsWhatIsAroundTheFigures(t *testing.T) {
	page, err := report.Page([]byte("# Before\n\n<!-- figures: written by go run -C compare . -docs -render -->\nold\n<!-- end of figures -->\n\nafter\n"), example().Markdown())
	if err != nil {
		t.Fatal(err)
	}
	text := string(page)
	for _, want := range []string{"# Before\n", "| a first | v1 | so |", "left out: why \\| not", "* caveat", "\nafter\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page has no %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "\nold\n") {
		t.Error("the page still has what was there")
	}
	again, err := report.Page(page, example().Markdown())
	if err != nil || string(again) != text {
		t.Errorf("written again, the page changes (%v)", err)
	}
	if _, err := report.Page([]byte("no marks"), ""); err == nil {
		t.Error("a page without marks is written")
	}
}

func TestShort(t *testing.T) {
	for v, want := range map[float64]string{0: "0", .5: "0.5", 1.234: "1.23", 10: "10", 12.34: "12.3", 1234.5: "1234", 2: "2", 100: "100"} {
		if got := report.Short(v); got != want {
			t.Errorf("Short(%v) = %q, want %q", v, got, want)
		}
	}
}

package report_test

import (
	"errors"
	"fmt"
	"html"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/examples/demo/internal/report"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
)

var start = time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)

// after is a moment of a run.
func after(seconds float64) time.Time {
	return start.Add(time.Duration(seconds * float64(time.Second)))
}

// runs collects what a page shows.
type run struct {
	report.Run
	rec load.Recorder
}

func newRun(seconds float64) *run {
	return &run{Run: report.Run{Command: "demo", Started: start, Stopped: after(seconds), Untimed: "slow", Machine: report.Machine{Go: "go1.99", CPUs: "2"}}}
}

// exchange adds one.
func (r *run) exchange(kind string, ended float64, took time.Duration, generation int, err error) {
	pid := 100 + generation
	r.rec.Record(kind, load.Reply{Generation: generation, PID: pid, Took: took}, err)
	r.Exchanges = append(r.Exchanges, load.Exchange{Kind: kind, Ended: after(ended), Took: took, PID: pid, Generation: generation, Failed: err != nil})
}

func (r *run) upgrade(generation int, asked, served float64) {
	r.Upgrades = append(r.Upgrades, report.Upgrade{Generation: generation, PID: 100 + generation, Asked: after(asked), Served: after(served), Ready: time.Millisecond})
}

// page is what is written of the run.
func (r *run) page(t *testing.T) string {
	t.Helper()
	r.Counted = r.rec.Snapshot()
	var out strings.Builder
	if err := report.Write(&out, r.Run); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// busy is a run with a few upgrades.
func busy() *run {
	r := newRun(4)
	for i := range 400 {
		ended := float64(i) / 100
		r.exchange("get", ended, time.Duration(1+i%7)*time.Millisecond, 1+i/100, nil)
		r.exchange("post", ended, time.Duration(300+i)*time.Microsecond, 1+i/120, nil)
	}
	r.exchange("slow", 5.05, 3*time.Second, 4, nil)
	for g := 2; g <= 4; g++ {
		r.upgrade(g, float64(g-1)-0.1, float64(g-1))
	}
	return r
}

var cell = regexp.MustCompile(`<t[hd][^>]*>([^<]*)</t[hd]>`)

func TestPageHasTheTablesCells(t *testing.T) {
	r := busy()
	page := r.page(t)
	_, table, _ := strings.Cut(page, `<table class="counts">`)
	table, _, _ = strings.Cut(table, "</table>")
	var got, want []string
	for _, m := range cell.FindAllStringSubmatch(table, -1) {
		got = append(got, html.UnescapeString(m[1]))
	}
	for _, row := range r.Counted.Rows() {
		want = append(want, row...)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the page's cells are\n%q, want\n%q", got, want)
	}
	if want := "3 upgrades, 801 requests, 0 failed"; strings.Count(page, want) != 2 {
		t.Errorf("%q is not the title and the first line", want)
	}
}

var (
	area  = regexp.MustCompile(`<path class="area ([^"]*)" d="M\d+ [^V]*((?:V[\d.]+H\d+)*)Z"><title>([^<]*)</title>`)
	stair = regexp.MustCompile(`V([\d.]+)H(\d+)`)
	most  = regexp.MustCompile(`y="0%">(\d+)</text>`) // the upper end of an axis
)

// drawn is how many answers an area stands for, by its size.
func drawn(t *testing.T, page, name string) int {
	t.Helper()
	top, err := strconv.ParseFloat(most.FindStringSubmatch(page)[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range area.FindAllStringSubmatch(page, -1) {
		if m[3] != name {
			continue
		}
		heights := 0.0
		steps := stair.FindAllStringSubmatch(m[2], -1)
		for i, s := range steps { // first the upper edge, then the lower one, backwards
			y, err := strconv.ParseFloat(s[1], 64)
			if err != nil {
				t.Fatal(err)
			}
			if i < len(steps)/2 {
				y = -y
			}
			heights += y
		}
		return int(heights/1000*top*0.1 + 0.5)
	}
	return 0
}

func TestAreasAreAsLargeAsTheTableSays(t *testing.T) {
	r := busy()
	for i := range 30 {
		r.exchange("get", 2+float64(i)/25, time.Second, 3, errors.New("lost"))
	}
	r.exchange("line", 0.2, time.Millisecond, 0, nil)
	page := r.page(t)
	total := r.Counted.Total
	for generation, want := range total.Served {
		name := "generation " + strconv.Itoa(generation)
		if generation == 0 {
			name = "unknown"
		}
		if got := drawn(t, page, name); got != want {
			t.Errorf("%s: %d answers are drawn, want %d", name, got, want)
		}
	}
	if got := drawn(t, page, "failed"); got != 30 || total.Failed != 30 {
		t.Errorf("%d failures are drawn, and %d counted, want 30", got, total.Failed)
	}
}

func TestPageLoadsNothing(t *testing.T) {
	page := busy().page(t)
	for _, reference := range []string{"//", "src=", "href=", "url(", "@import", "<script", "<link", "<iframe", "<object", "<embed", "<base"} {
		if at := strings.Index(page, reference); at >= 0 {
			t.Errorf("the page has %q: %q", reference, page[max(0, at-40):min(len(page), at+40)])
		}
	}
}

func TestWordsOfOthersAreText(t *testing.T) {
	r := busy()
	r.exchange("get", 1, time.Millisecond, 1, errors.New(`answer <script src="http://x">`))
	r.Command = `demo -report "<b>"`
	r.Failure = "1 of 2 <i>failed</i>"
	page := r.page(t)
	for _, raw := range []string{"<script", "<b>", "<i>"} {
		if strings.Contains(page, raw) {
			t.Errorf("%s is on the page as it was", raw)
		}
	}
	for _, text := range []string{"answer &lt;script", "&lt;b&gt;", "&lt;i&gt;failed"} {
		if !strings.Contains(page, text) {
			t.Errorf("%s is not on the page", text)
		}
	}
}

var label = regexp.MustCompile(`<text class="label" x="([\d.]+)%"`)

// However many upgrades there are, and however long it goes on, there is room for what is written.
func TestThereIsRoom(t *testing.T) {
	for _, seconds := range []float64{0, 0.05, 3, 59, 61, 3600, 100_000} {
		t.Run(fmt.Sprint(seconds), func(t *testing.T) {
			r := newRun(seconds)
			for i := range 200 {
				at := seconds * float64(i) / 200
				r.exchange("get", at, time.Duration(i)*time.Millisecond, i+1, nil)
				r.upgrade(i+2, at, at)
			}
			page := r.page(t)
			if n := strings.Count(page, `<text class="x"`); n < 4 || n > 2*10 {
				t.Errorf("%d labels below both drawings", n)
			}
			last := -7.0
			for _, m := range label.FindAllStringSubmatch(page, -1) {
				x, err := strconv.ParseFloat(m[1], 64)
				if err != nil || x > 100 || x-last < 6.9 {
					t.Errorf("a label stands at %s%%, and the one before at %g%%: %v", m[1], last, err)
				}
				last = x
			}
			if len(page) > 1<<20 {
				t.Errorf("the page has %d bytes", len(page))
			}
		})
	}
}

func TestRunWithoutAnswers(t *testing.T) {
	page := newRun(1).page(t)
	if !strings.Contains(page, "0 upgrades, 0 requests, 0 failed") || strings.Contains(page, "NaN") || strings.Contains(page, "Inf") {
		t.Error(page)
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestWriteReportsWriteError(t *testing.T) {
	r := busy()
	r.Counted = r.rec.Snapshot()
	if err := report.Write(fullDisk{}, r.Run); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("Write = %v, want the writer's error", err)
	}
}

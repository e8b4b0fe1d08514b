// Package report makes a page of a run of the demo: which generation answered how many requests, how long they took, and when upgrades
// were. The page is one file without scripts, and loads nothing.
package report

import (
	"cmp"
	_ "embed" // the page
	"fmt"
	"html/template"
	"io"
	"slices"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
)

// Run is what a page shows.
type Run struct {
	Command   string // as which it was started
	Started   time.Time
	Stopped   time.Time // no client has begun anything afterwards
	Exchanges []load.Exchange
	Counted   load.Snapshot // the same, counted
	Upgrades  []Upgrade
	Machine   Machine

	// Untimed is the kind whose requests ask the server to take its time. They are not among the times that are drawn.
	Untimed string

	Failure string // why the run failed, "" if it did not
}

// Upgrade is one that went well.
type Upgrade struct {
	Generation    int // the new one
	PID           int
	Ready         time.Duration // from when it was started
	Asked, Served time.Time
}

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

// view is what the template reads.
type view struct {
	Run
	Verdict  string
	Step     string
	Head     []string
	Rows     [][]string
	Errors   []load.Stats
	Time     axis
	Answers  answers
	Times    times
	Lines    []line
	StopsAt  percent
	StopText bool
}

// Write writes the page of a run.
func Write(w io.Writer, run Run) error {
	b := newBins(run)
	rows := run.Counted.Rows()
	v := view{
		Run:     run,
		Verdict: fmt.Sprintf("%d upgrades, %d requests, %d failed", len(run.Upgrades), run.Counted.Total.Requests, run.Counted.Total.Failed),
		Step:    fmt.Sprintf("%g s", b.width.Seconds()),
		Head:    rows[0],
		Rows:    rows[1:],
		Time:    timeAxis(b.span()),
		Answers: drawAnswers(b),
		Times:   drawTimes(b),
		Lines:   drawUpgrades(b, run),
		StopsAt: b.at(run.Stopped),
	}
	v.StopText = v.StopsAt-lastLabel(v.Lines) >= 1.5*labelRoom && v.StopsAt <= 100-labelRoom/2
	for _, k := range run.Counted.Kinds {
		if len(k.Errors) > 0 {
			v.Errors = append(v.Errors, k)
		}
	}
	if err := page.Execute(w, v); err != nil {
		return fmt.Errorf("report: write page: %w", err)
	}
	return nil
}

// Date is when the run was, for its reader.
func (v view) Date() string { return v.Started.UTC().Format("2006-01-02 15:04:05 UTC") }

// Since is a moment of the run, in seconds from its beginning.
func (v view) Since(t time.Time) string { return fmt.Sprintf("%.2f s", t.Sub(v.Started).Seconds()) }

// Short is a time without digits that nobody reads.
func (v view) Short(d time.Duration) string { return d.Round(time.Millisecond).String() }

// generations are those that answered, oldest first, and 0 last.
func generations(b *bins) []int {
	all := make(map[int]bool)
	for _, bin := range b.all {
		for g := range bin.served {
			all[g] = true
		}
	}
	sorted := make([]int, 0, len(all))
	for g := range all {
		sorted = append(sorted, g)
	}
	slices.SortFunc(sorted, func(a, b int) int {
		if (a == 0) != (b == 0) {
			return cmp.Compare(b, a)
		}
		return cmp.Compare(a, b)
	})
	return sorted
}

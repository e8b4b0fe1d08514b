package load

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// WriteTable writes the table of all kinds and their total to w, and below it
// the first error texts, if anything failed.
func (rec *Recorder) WriteTable(w io.Writer) error { return rec.Snapshot().WriteTable(w) }

// WriteTable writes the snapshot as [Recorder.WriteTable] does.
func (s Snapshot) WriteTable(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, row := range s.Rows() {
		last := len(row) - 1
		fmt.Fprintln(tw, strings.Join(row[:last], "\t")+"\t  "+row[last])
	}
	if err := tw.Flush(); err != nil {
		return fmt.Errorf("load: write table: %w", err)
	}
	return s.writeErrors(w)
}

// Rows returns the cells of the table: its head, the kinds, and the total.
func (s Snapshot) Rows() [][]string {
	rows := [][]string{{"kind", "requests", "failed", "p50", "p99", "max", "conns", "reconns", "served by generation"}}
	for _, k := range append(slices.Clone(s.Kinds), s.Total) {
		rows = append(rows, []string{
			k.Kind, strconv.Itoa(k.Requests), strconv.Itoa(k.Failed), shortTime(k.P50), shortTime(k.P99), shortTime(k.Max),
			strconv.Itoa(k.Connections), strconv.Itoa(k.Reconnects), generations(k.Served),
		})
	}
	return rows
}

func (s Snapshot) writeErrors(w io.Writer) error {
	for _, k := range s.Kinds {
		if len(k.Errors) == 0 {
			continue
		}
		if _, err := fmt.Fprintf(w, "\n%s: the first %d of %d failures\n  %s\n",
			k.Kind, len(k.Errors), k.Failed, strings.Join(k.Errors, "\n  ")); err != nil {
			return fmt.Errorf("load: write errors: %w", err)
		}
	}
	return nil
}

// String returns the total as one line of progress, such as
// "592 requests, 0 failed, p99 2.1ms, served 1:312 2:280".
func (s Snapshot) String() string {
	return fmt.Sprintf("%d requests, %d failed, p99 %s, served %s",
		s.Total.Requests, s.Total.Failed, shortTime(s.Total.P99), generations(s.Total.Served))
}

// generations renders how many exchanges each generation served, as
// "1:312 2:280". What nobody could be found for stands last, as "?:4".
func generations(served map[int]int) string {
	var parts []string
	for _, g := range slices.Sorted(maps.Keys(served)) {
		if g != 0 {
			parts = append(parts, fmt.Sprintf("%d:%d", g, served[g]))
		}
	}
	if n := served[0]; n > 0 {
		parts = append(parts, fmt.Sprintf("?:%d", n))
	}
	if parts == nil {
		return "-"
	}
	return strings.Join(parts, " ")
}

// shortTime renders d with three digits at most, which is all a reader of a
// table wants.
func shortTime(d time.Duration) string {
	switch {
	case d == 0:
		return "-"
	case d >= 100*time.Millisecond:
		return d.Round(time.Millisecond).String()
	case d >= 10*time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.String()
}

// Package report holds what has been measured: as samples while a comparison runs,
// as rows in a CSV file, and as tables for a terminal and for docs/compare.md.
package report

import (
	"cmp"
	"slices"
)

// Key names one figure.
type Key struct {
	Tool   string
	Client string // empty if the figure is not one of clients
	Metric string
	X      int // a time in ms or a number of connections; 0 where there is none
}

// The metrics.
const (
	Failures   = "failures per 1000"   // lost requests, for each 1,000 clients and upgrade
	Reconnects = "reconnects per 1000" // planned ones, for the same
	Requests   = "requests"
	Upgrades   = "upgrades"
	Ready      = "ready ms"            // from the signal until a new process answers
	Gone       = "old gone ms"         // from the signal until the old processes have ended
	Lingering  = "old still there"     // upgrades at whose limit the old processes had not ended
	Memory     = "memory MB"           // before an upgrade
	Both       = "memory both MB"      // the most while there are two processes
	Resumed    = "resumed %"           // of the TLS connections that were opened again
	HeldDone   = "held done"           // upgrades of 10 while one response goes on
	HeldLost   = "held broken"         // 1 if that response was cut
	Streams    = "streams broken %"    // of hijacked connections, by one upgrade
	Timeline   = "latency ms"          // the longest of the requests begun in the 10 ms from X on
	TimelineL  = "lost per 10 ms"      // requests begun in them that failed
	Moved      = "moved"               // idle connections that the new process answered on
	MoveMS     = "move ms"             // from the signal until the old process has no connection
	IdleMemory = "idle memory MB"      // before an upgrade, with X connections
	IdleBoth   = "idle memory both MB" // the most while there are two processes
)

// Before and After name the percentiles of latency in the 200 ms before the signal
// and in the 200 ms after it.
func Before(percentile string) string { return "before " + percentile + " ms" }

// After is the counterpart of [Before].
func After(percentile string) string { return "after " + percentile + " ms" }

// Percentiles are those of Before and After.
var Percentiles = []string{"p50", "p99", "max"}

// Row is one figure: the least, the median and the greatest sample.
type Row struct {
	Key
	Low, Mid, High float64
	N              int // samples
}

// Set collects samples. The zero value is empty and ready.
type Set struct{ samples map[Key][]float64 }

// Add adds a sample.
func (s *Set) Add(k Key, v float64) {
	if s.samples == nil {
		s.samples = make(map[Key][]float64)
	}
	s.samples[k] = append(s.samples[k], v)
}

// Rows returns all figures in the order of their keys, tools in that of order.
func (s *Set) Rows(order []string) []Row {
	var rows []Row
	for k, v := range s.samples {
		v = slices.Sorted(slices.Values(v))
		rows = append(rows, Row{Key: k, Low: v[0], Mid: Percentile(v, 50), High: v[len(v)-1], N: len(v)})
	}
	slices.SortFunc(rows, func(a, b Row) int {
		return cmp.Or(
			cmp.Compare(slices.Index(order, a.Tool), slices.Index(order, b.Tool)),
			cmp.Compare(a.Tool, b.Tool), cmp.Compare(a.Metric, b.Metric), cmp.Compare(a.Client, b.Client), cmp.Compare(a.X, b.X))
	})
	return rows
}

// Percentile returns the least of the sorted values that is not below the given part of
// them, 0 if there are none.
func Percentile(sorted []float64, percent int) float64 {
	if len(sorted) == 0 {
		return 0
	}
	rank := (len(sorted)*percent + 99) / 100
	return sorted[max(rank, 1)-1]
}

// Summary returns p50, p99 and the maximum of values in any order.
func Summary(values []float64) map[string]float64 {
	sorted := slices.Sorted(slices.Values(values))
	return map[string]float64{"p50": Percentile(sorted, 50), "p99": Percentile(sorted, 99), "max": Percentile(sorted, 100)}
}

//go:build linux

package measure

import (
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/compare/internal/clients"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/compare/internal/report"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/compare/internal/tools"
)

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func megabytes(n int) float64 { return float64(n) / 1e6 }

func addMoments(set *report.Set, tool string, moments []moment) {
	there := 0
	for _, m := range moments {
		set.Add(report.Key{Tool: tool, Metric: report.Ready}, milliseconds(m.ready))
		if m.none {
			continue
		}
		set.Add(report.Key{Tool: tool, Metric: report.Gone}, milliseconds(m.gone))
		if m.there {
			there++
		}
	}
	set.Add(report.Key{Tool: tool, Metric: report.Lingering}, float64(there))
	set.Add(report.Key{Tool: tool, Metric: report.Upgrades}, float64(len(moments)))
}

func addSamples(set *report.Set, t tools.Tool, samples []clients.Sample, moments []moment) {
	failed, again, all := make(map[string]int), make(map[string]int), make(map[string]int)
	for _, s := range samples {
		all[s.Kind]++
		if s.Err != nil {
			failed[s.Kind]++
		}
		if s.Reconnected {
			again[s.Kind]++
		}
	}
	for _, kind := range t.Kinds {
		met := float64(clients.Users(kind)*len(moments)) / 1000
		set.Add(report.Key{Tool: t.Name, Client: kind, Metric: report.Failures}, float64(failed[kind])/met)
		if kind != tools.New && kind != tools.H2 { // the one always has new connections, the other's users share them
			set.Add(report.Key{Tool: t.Name, Client: kind, Metric: report.Reconnects}, float64(again[kind])/met)
		}
		set.Add(report.Key{Tool: t.Name, Client: kind, Metric: report.Requests}, float64(all[kind]))
	}
	for _, m := range moments {
		addLatency(set, t.Name, samples, m.signal)
		addTimeline(set, t.Name, samples, m.signal)
	}
}

// timed are the kinds whose latency is looked at: they ask all the time.
func timed(s clients.Sample) bool {
	return s.Kind == tools.New || s.Kind == tools.Busy || s.Kind == tools.FCGI
}

// addLatency compares the windows before and after the signal.
func addLatency(set *report.Set, tool string, samples []clients.Sample, signal time.Time) {
	var before, after []float64
	for _, s := range samples {
		if !timed(s) || s.Err != nil {
			continue
		}
		switch at := s.Begun.Sub(signal); {
		case at >= -Window && at < 0:
			before = append(before, milliseconds(s.Took))
		case at >= 0 && at < Window:
			after = append(after, milliseconds(s.Took))
		}
	}
	for _, window := range []struct {
		name   func(string) string
		values []float64
	}{{report.Before, before}, {report.After, after}} {
		if len(window.values) == 0 {
			continue // nothing was answered
		}
		for percentile, v := range report.Summary(window.values) {
			set.Add(report.Key{Tool: tool, Metric: window.name(percentile)}, v)
		}
	}
}

// The timeline of an upgrade.
const (
	bin   = 10 * time.Millisecond
	first = -200 * time.Millisecond
	last  = 800 * time.Millisecond
)

// addTimeline notes for each bin the longest latency of the requests begun in it, and
// how many of them were lost.
func addTimeline(set *report.Set, tool string, samples []clients.Sample, signal time.Time) {
	longest, lost := make(map[int]float64), make(map[int]int)
	for _, s := range samples {
		at := s.Begun.Sub(signal)
		if !timed(s) || at < first || at >= last {
			continue
		}
		x := int((at-first)/bin)*int(bin/time.Millisecond) + int(first/time.Millisecond)
		if s.Err != nil {
			lost[x]++
			continue
		}
		longest[x] = max(longest[x], milliseconds(s.Took))
	}
	for x, v := range longest {
		set.Add(report.Key{Tool: tool, Metric: report.Timeline, X: x}, v)
	}
	for x, n := range lost {
		set.Add(report.Key{Tool: tool, Metric: report.TimelineL, X: x}, float64(n))
	}
}

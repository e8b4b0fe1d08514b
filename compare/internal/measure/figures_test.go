//go:build linux

package measure

import (
	"errors"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/compare/internal/clients"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/compare/internal/report"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/compare/internal/tools"
)

func TestSamplesBecomeFigures(t *testing.T) {
	signal := time.Now()
	at := func(kind string, ms int, took time.Duration, err error) clients.Sample {
		return clients.Sample{Kind: kind, Begun: signal.Add(time.Duration(ms) * time.Millisecond), Took: took, Err: err}
	}
	lost := errors.New("lost")
	samples := []clients.Sample{
		at(tools.Busy, -300, time.Second, nil), // too early for all
		at(tools.Busy, -100, 2*time.Millisecond, nil),
		at(tools.New, -1, 4*time.Millisecond, nil),
		at(tools.Naive, 5, time.Second, nil), // of a kind that is not timed
		at(tools.Busy, 0, 8*time.Millisecond, nil),
		at(tools.Busy, 5, 6*time.Millisecond, nil),
		at(tools.Busy, 6, time.Second, lost),
		at(tools.Busy, 500, 16*time.Millisecond, nil),
		{Kind: tools.Naive, Begun: signal, Reconnected: true},
	}
	var set report.Set
	tool := tools.Tool{Name: "tool", Kinds: []string{tools.New, tools.Busy, tools.Naive}}
	addSamples(&set, tool, samples, []moment{{signal: signal}})
	result := report.Result{Rows: set.Rows(nil)}
	for _, tt := range []struct {
		key  report.Key
		want float64
	}{
		{report.Key{Client: tools.Busy, Metric: report.Failures}, 125}, // one of 8 users
		{report.Key{Client: tools.Naive, Metric: report.Failures}, 0},
		{report.Key{Client: tools.Naive, Metric: report.Reconnects}, 31.25}, // one of 32
		{report.Key{Client: tools.Busy, Metric: report.Requests}, 6},
		{report.Key{Metric: report.Before("max")}, 4},
		{report.Key{Metric: report.Before("p50")}, 2},
		{report.Key{Metric: report.After("max")}, 8},
		{report.Key{Metric: report.After("p50")}, 6},
		{report.Key{Metric: report.Timeline, X: -100}, 2},
		{report.Key{Metric: report.Timeline, X: -10}, 4},
		{report.Key{Metric: report.Timeline, X: 0}, 8},
		{report.Key{Metric: report.TimelineL, X: 0}, 1},
		{report.Key{Metric: report.Timeline, X: 500}, 16},
	} {
		tt.key.Tool = "tool"
		if got, ok := result.Get(tt.key); !ok || got.Mid != tt.want {
			t.Errorf("%+v is %v (%v), want %v", tt.key, got.Mid, ok, tt.want)
		}
	}
	if _, ok := result.Get(report.Key{Tool: "tool", Client: tools.New, Metric: report.Reconnects}); ok {
		t.Error("a client that always connects has reconnects")
	}
}

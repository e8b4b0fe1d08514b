//go:build linux

package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/compare/internal/measure"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/compare/internal/report"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/compare/internal/tools"
)

// A comparison of two, with real processes: whoever is killed loses requests, and gozd
// loses none. It is bounded; to build the programs may take longer.
func TestComparison(t *testing.T) {
	env, err := tools.NewEnv(t.TempDir(), ".")
	if err != nil {
		t.Fatal(err)
	}
	short := measure.Options{Upgrades: 2, Budget: 5 * time.Second, ReadyLimit: 10 * time.Second, Quiet: 300 * time.Millisecond}
	lost := make(map[string]float64)
	var set report.Set
	for _, tool := range tools.Tools() {
		if tool.Name != "kill and restart" && tool.Name != "gozd" {
			continue
		}
		if err := tool.Build(t.Context(), env); err != nil {
			t.Fatal(err)
		}
		tool.Plain = true
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
		_, err := measure.Tool(ctx, env, tool, short, &set)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
	}
	result := report.Result{Rows: set.Rows(nil)}
	for _, row := range result.Rows {
		if row.Metric == report.Failures {
			lost[row.Tool] += row.Mid
		}
		if row.Metric == report.Requests && row.Mid == 0 {
			t.Errorf("%s: clients of kind %q have done nothing", row.Tool, row.Client)
		}
	}
	if lost["kill and restart"] == 0 || lost["gozd"] != 0 || len(lost) != 2 {
		t.Errorf("lost per 1,000 clients and upgrade, all kinds together: %v; want some with kill and restart, none with gozd", lost)
	}
	var text strings.Builder
	if err := result.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	t.Log(text.String())
}

func TestChoose(t *testing.T) {
	for _, tt := range []struct {
		names string
		tools int
		idle  bool
		fails bool
	}{
		{names: "", tools: len(tools.Tools()), idle: true},
		{names: "gozd,nginx reload", tools: 2},
		{names: "gozd,gozd,idle", tools: 1, idle: true},
		{names: "idle", idle: true},
		{names: "gozd,ngnix reload", fails: true}, // nothing would be measured, and nobody told
		{names: "gozd,", fails: true},
	} {
		chosen, idle, err := choose(tt.names)
		if len(chosen) != tt.tools || idle != tt.idle || (err != nil) != tt.fails {
			t.Errorf("choose(%q) = %d tools, %t, %v", tt.names, len(chosen), idle, err)
		}
	}
}

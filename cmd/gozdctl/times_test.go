package main

import (
	"testing"
	"time"
)

func TestSpan(t *testing.T) {
	const day = 24 * time.Hour
	for _, test := range []struct {
		d           time.Duration
		span, brief string
	}{
		{-time.Second, "0 ms", "0 s"},
		{0, "0 ms", "0 s"},
		{94 * time.Millisecond, "94 ms", "0 s"},
		{96 * time.Millisecond, "0.1 s", "0 s"},
		{3 * time.Second, "3 s", "3 s"},
		{812 * time.Millisecond, "0.8 s", "0 s"},
		{9949 * time.Millisecond, "9.9 s", "9 s"},
		{9950 * time.Millisecond, "10 s", "9 s"},
		{59499 * time.Millisecond, "59 s", "59 s"},
		{59500 * time.Millisecond, "1 min", "59 s"},
		{2*time.Minute + 5*time.Second, "2 min 5 s", "2 min"},
		{time.Hour - 500*time.Millisecond, "1 h", "59 min"},
		{3*time.Hour + 12*time.Minute, "3 h 12 min", "3 h"},
		{day - time.Second, "1 day", "23 h"},
		{47 * time.Hour, "1 day 23 h", "47 h"},
		{5*day + 3*time.Hour, "5 days 3 h", "5 days"},
	} {
		if got := span(test.d); got != test.span {
			t.Errorf("span(%v) = %q, want %q", test.d, got, test.span)
		}
		if got := brief(test.d); got != test.brief {
			t.Errorf("brief(%v) = %q, want %q", test.d, got, test.brief)
		}
	}
}

func TestAgoAndIn(t *testing.T) {
	now := time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		t       time.Time
		ago, in string
	}{
		{time.Time{}, "-", ""},
		{now, "now", "now"},
		{now.Add(-3 * time.Minute), "3 min ago", "now"},
		{now.Add(8 * time.Second), "now", "in 8 s"},
	} {
		if got := ago(now, test.t); got != test.ago {
			t.Errorf("ago(%v) = %q, want %q", test.t, got, test.ago)
		}
		if got := in(now, test.t); got != test.in {
			t.Errorf("in(%v) = %q, want %q", test.t, got, test.in)
		}
	}
}

package main

import (
	"fmt"
	"strings"
	"time"
)

// span is a duration as people say it: "12 ms", "0.8 s", "12 s", "2 min 5 s", "3 h 12 min", "5 days 3 h".
func span(d time.Duration) string {
	const day = 24 * time.Hour
	switch d = max(d, 0); {
	case d < 95*time.Millisecond:
		return fmt.Sprintf("%d ms", d.Round(time.Millisecond)/time.Millisecond)
	case d < 9950*time.Millisecond && d%time.Second != 0:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d.Round(time.Second) < time.Minute:
		return fmt.Sprintf("%d s", d.Round(time.Second)/time.Second)
	case d.Round(time.Second) < time.Hour:
		return two(d.Round(time.Second), time.Minute, "min", time.Second, "s")
	case d.Round(time.Minute) < day:
		return two(d.Round(time.Minute), time.Hour, "h", time.Minute, "min")
	}
	days := "days"
	if d.Round(time.Hour) < 2*day {
		days = "day"
	}
	return two(d.Round(time.Hour), day, days, time.Hour, "h")
}

// two is a duration in two units, the smaller left out where there is none of it.
func two(d, big time.Duration, bigName string, small time.Duration, smallName string) string {
	text := fmt.Sprintf("%d %s", d/big, bigName)
	if rest := d % big / small; rest > 0 {
		text += fmt.Sprintf(" %d %s", rest, smallName)
	}
	return text
}

// brief is a duration in one unit, for a table: "12 s", "2 min", "3 h", "5 days".
func brief(d time.Duration) string {
	const day = 24 * time.Hour
	switch d = max(d, 0); {
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 2*day:
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return fmt.Sprintf("%d days", d/day)
}

// ago says how long before now t was; "-" where it is not known.
func ago(now, t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	if now.Sub(t) < time.Second {
		return "now"
	}
	return brief(now.Sub(t)) + suffixAgo
}

const suffixAgo = " ago"

// withoutAgo is the short form of what ago says.
func withoutAgo(text string, _ int) []string {
	return []string{strings.TrimSuffix(text, suffixAgo)}
}

// in says how long after now t is; empty where there is no such time.
func in(now, t time.Time) string {
	if t.IsZero() {
		return ""
	}
	if !t.After(now) {
		return "now"
	}
	return "in " + brief(t.Sub(now).Round(time.Second))
}

// seconds is a duration that JSON has as a number of seconds, at most a century: the daemon's user may have said it.
func seconds(s float64) time.Duration {
	const century = 100 * 365 * 24 * 60 * 60
	return time.Duration(min(max(s, 0), century) * float64(time.Second))
}

package load

import (
	"maps"
	"slices"
	"time"
)

// latencies counts how often each time, in microseconds, was taken. Exact
// percentiles need every value; but those of a million exchanges are a few
// thousand different ones, so this stays small and is quick to sort.
type latencies map[int64]int

func (l latencies) add(d time.Duration) { l[d.Microseconds()]++ }

func (l latencies) merge(o latencies) {
	for us, n := range o {
		l[us] += n
	}
}

// summary returns the median, the 99th percentile and the greatest value, by
// nearest rank: the least value that is not exceeded by that share of them.
func (l latencies) summary() (p50, p99, most time.Duration) {
	values := slices.Sorted(maps.Keys(l))
	total := 0
	for _, n := range l {
		total += n
	}
	return l.rank(values, total, 50), l.rank(values, total, 99), l.rank(values, total, 100)
}

func (l latencies) rank(values []int64, total, percent int) time.Duration {
	due := (total*percent + 99) / 100
	for _, us := range values {
		if due -= l[us]; due <= 0 {
			return time.Duration(us) * time.Microsecond
		}
	}
	return 0
}

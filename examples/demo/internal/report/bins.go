package report

import (
	"slices"
	"time"
)

const (
	binWidth = 100 * time.Millisecond // unless the run is so long that
	mostBins = 600                    // is less
)

// bins are a run cut into pieces of the same length.
type bins struct {
	start time.Time
	width time.Duration
	all   []bin
}

// bin is what ended within one of them.
type bin struct {
	served map[int]int // by generation
	failed int
	took   []time.Duration // sorted
}

func newBins(run Run) *bins {
	end := run.Stopped
	for _, e := range run.Exchanges {
		if e.Ended.After(end) {
			end = e.Ended
		}
	}
	b := &bins{start: run.Started, width: widthFor(end.Sub(run.Started))}
	b.all = make([]bin, b.index(end)+1)
	for _, e := range run.Exchanges {
		b.all[b.index(e.Ended)].add(e.Generation, e.Took, e.Failed, e.Kind != run.Untimed)
	}
	for _, bin := range b.all {
		slices.Sort(bin.took)
	}
	return b
}

// widthFor is 100 ms, or as many of them as a long run needs.
func widthFor(run time.Duration) time.Duration {
	width := binWidth
	for factors := []int{2, 5, 10}; run >= mostBins*width; factors = append(factors[1:], 10*factors[0]) {
		width = time.Duration(factors[0]) * binWidth
	}
	return width
}

func (b *bins) index(t time.Time) int { return max(0, int(t.Sub(b.start)/b.width)) }

func (b *bins) span() time.Duration { return time.Duration(len(b.all)) * b.width }

// at is where a moment lies.
func (b *bins) at(t time.Time) percent {
	return percent(100 * float64(t.Sub(b.start)) / float64(b.span()))
}

func (bin *bin) add(generation int, took time.Duration, failed, timed bool) {
	if failed {
		bin.failed++
		return
	}
	if bin.served == nil {
		bin.served = make(map[int]int)
	}
	bin.served[generation]++
	if timed {
		bin.took = append(bin.took, took)
	}
}

func (bin *bin) count() int {
	n := bin.failed
	for _, served := range bin.served {
		n += served
	}
	return n
}

// rank is the least time within which that share of them had ended.
func (bin *bin) rank(percent int) (took time.Duration, ok bool) {
	if len(bin.took) == 0 {
		return 0, false
	}
	return bin.took[(len(bin.took)*percent+99)/100-1], true
}

package report

import (
	"fmt"
	"math"
	"time"
)

// percent is a place on an axis.
type percent float64

// String implements [fmt.Stringer], as SVG wants it.
func (p percent) String() string { return fmt.Sprintf("%.4g%%", float64(p)) }

// axis is where its ticks are. Those of an upright one are counted from its top, as SVG does.
type axis []tick

type tick struct {
	At   percent
	Text string
}

// mostTicks have room on a telephone.
const mostTicks = 8

// step is a round number of which there are few in span.
func step(span float64, most int) float64 {
	least := span / float64(most)
	power := math.Pow(10, math.Floor(math.Log10(least)))
	for _, factor := range []float64{1, 2, 5} {
		if factor*power >= least {
			return factor * power
		}
	}
	return 10 * power
}

// timeAxis is that of a run.
func timeAxis(span time.Duration) (a axis) {
	seconds := span.Seconds()
	by := step(seconds, mostTicks)
	for n := 0; ; n++ {
		at := float64(n) * by
		if at > seconds {
			return a
		}
		a = append(a, tick{percent(100 * at / seconds), fmt.Sprintf("%g s", round(at))})
	}
}

// countAxis goes from 0 to a round number of at least most, which it returns.
func countAxis(most float64) (a axis, top float64) {
	by := step(max(most, 1), 5)
	top = by * math.Ceil(max(most, 1)/by)
	for n := 0; ; n++ {
		at := float64(n) * by
		if at > top+by/2 {
			return a, top
		}
		a = append(a, tick{percent(100 - 100*at/top), fmt.Sprintf("%g", round(at))})
	}
}

// round has a sum of decimal fractions look like one.
func round(x float64) float64 { return math.Round(x*1e6) / 1e6 }

// logAxis is upright, and has a tick for each power of ten.
type logAxis struct {
	axis
	least, most float64 // powers
}

// newLogAxis returns an axis on which both times lie.
func newLogAxis(least, most time.Duration) logAxis {
	l := logAxis{least: math.Floor(power(least)), most: math.Ceil(power(most))}
	if l.least == l.most {
		l.most++
	}
	for p := l.least; p <= l.most; p++ {
		d := time.Duration(math.Round(math.Pow(10, p)))
		l.axis = append(l.axis, tick{percent(100 * (1 - l.share(d))), unit(d)})
	}
	return l
}

// power of ten, of nanoseconds. Times are measured to the microsecond.
func power(d time.Duration) float64 { return math.Log10(float64(max(d, time.Microsecond))) }

// share is how high a time lies: 0 at the bottom, 1 at the top.
func (l logAxis) share(d time.Duration) float64 { return (power(d) - l.least) / (l.most - l.least) }

// unit writes a power of ten with a space.
func unit(d time.Duration) string {
	switch {
	case d >= time.Second:
		return fmt.Sprintf("%d s", d/time.Second)
	case d >= time.Millisecond:
		return fmt.Sprintf("%d ms", d/time.Millisecond)
	}
	return fmt.Sprintf("%d µs", d/time.Microsecond)
}

package main

import (
	"fmt"
	"math"
	"slices"
)

// confidence that the median lies in an interval.
const confidence = 0.95

// interval has the median of what the values are samples of. It ends at two of them, as far from either end: the median is beyond such a
// value only if as few fall on its side as heads of a coin.
func interval(values []float64) (least, most float64, err error) {
	n := len(values)
	beyond := math.Pow(0.5, float64(n)) // the probability that no value is below the median
	skip, next := 0, beyond
	for k := 1; ; k++ {
		next *= float64(n-k+1) / float64(k) // that k values are
		if 2*(beyond+next) > 1-confidence || k >= n/2 {
			break
		}
		beyond += next
		skip = k
	}
	if 2*beyond > 1-confidence {
		return 0, 0, fmt.Errorf("%d runs are too few to tell it from noise", n)
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[skip], sorted[n-1-skip], nil
}

// median is the mean of the two in the middle, where there are two.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

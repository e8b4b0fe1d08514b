package main

import "strings"

// The sides of a comparison, but for the first, which are compared with that.
const (
	sideMark = "/side="
	plain    = "plain"
)

// On a machine with others, the processors' time says more than how long it took.
const sideUnit = "cpu-ns/op"

// sideBound is what a ratio of that may be at most, also where each record is followed below crypto/tls.
const sideBound = 1.10

// allocsMore is how many allocations more than the plain side there may be, in each exchange or for each connection.
const allocsMore = 1

// reported are ratios that benchmarks report themselves.
var reported = []struct {
	name, unit string
	bound      float64
}{
	{"Upgrade", "ratio", 2},            // to tableflip alone
	{"IdleConnections/", "ratio", 0.5}, // of memory, to net/http
}

// ratio is one in each run.
type ratio struct {
	name   string
	values []float64
	bound  float64
}

// ratios are all that have a bound, in the order in which they first come.
func ratios(results []result) []ratio {
	var c collection
	base := make(map[string]result) // the plain side that came last, by benchmark
	for _, r := range results {
		if benchmark, side, ok := strings.Cut(r.name, sideMark); !ok {
			c.addReported(r)
		} else if side == plain {
			base[benchmark] = r
		} else if than, ok := base[benchmark]; ok {
			c.addSide(r, than)
		}
	}
	return c.all
}

// collection is what has been found, one after the other.
type collection struct{ all []ratio }

func (c *collection) add(name string, value, bound float64) {
	for i := range c.all {
		if c.all[i].name == name {
			c.all[i].values = append(c.all[i].values, value)
			return
		}
	}
	c.all = append(c.all, ratio{name, []float64{value}, bound})
}

func (c *collection) addReported(r result) {
	for _, own := range reported {
		if value, ok := r.values[own.unit]; ok && strings.HasPrefix(r.name, own.name) {
			c.add(r.name+" "+own.unit, value, own.bound)
		}
	}
}

// addSide compares two sides of the same run.
func (c *collection) addSide(r, than result) {
	if value, ok := r.values[sideUnit]; ok && than.values[sideUnit] > 0 {
		c.add(r.name+" "+sideUnit, value/than.values[sideUnit], sideBound)
	}
	if allocs, ok := r.values["allocs/op"]; ok {
		c.add(r.name+" more allocs/op", allocs-than.values["allocs/op"], allocsMore)
	}
}

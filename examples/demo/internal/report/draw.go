package report

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// height of what is drawn; its width is the number of bins. The page stretches both.
const height = 1000

// colours of generations, which they take in turn; see the page.
const colours = 8

// shape is what is drawn of one generation, or of one percentile.
type shape struct {
	Class string
	Kind  string // what the name is of, and goes without saying where there is no room; or ""
	Name  string
	Path  string
}

// answers are the upper drawing.
type answers struct {
	Axis   axis
	Width  int
	Height int
	Shapes []shape
}

func drawAnswers(b *bins) answers {
	most := 0
	for _, bin := range b.all {
		most = max(most, bin.count())
	}
	perSecond := 1 / b.width.Seconds()
	a := answers{Width: len(b.all), Height: height}
	var top float64
	a.Axis, top = countAxis(float64(most) * perSecond)
	scale := height * perSecond / top
	below := make([]int, len(b.all))
	stack := func(class, kind, name string, count func(bin) int) {
		above := make([]int, len(below))
		for i, bin := range b.all {
			above[i] = below[i] + count(bin)
		}
		a.Shapes = append(a.Shapes, shape{class, kind, name, steps(below, above, scale)})
		below = above
	}
	for _, g := range generations(b) {
		class, kind, name := "unknown", "", "unknown"
		if g > 0 {
			class, kind, name = "g"+strconv.Itoa((g-1)%colours), "generation", strconv.Itoa(g)
		}
		stack(class, kind, name, func(bin bin) int { return bin.served[g] })
	}
	stack("failed", "", "failed", func(bin bin) int { return bin.failed })
	if last := len(a.Shapes) - 1; a.Shapes[last].Path == "" {
		a.Shapes = a.Shapes[:last]
	}
	return a
}

// steps is the area between two rows of steps, where there is any.
func steps(below, above []int, scale float64) string {
	first, end := 0, len(above)
	for first < end && above[first] == below[first] {
		first++
	}
	for first < end && above[end-1] == below[end-1] {
		end--
	}
	if first == end {
		return ""
	}
	var path strings.Builder
	y := func(n int) string { return place(height - float64(n)*scale) }
	fmt.Fprintf(&path, "M%d %s", first, y(below[first]))
	for i := first; i < end; i++ {
		fmt.Fprintf(&path, "V%sH%d", y(above[i]), i+1)
	}
	for i := end - 1; i >= first; i-- {
		fmt.Fprintf(&path, "V%sH%d", y(below[i]), i)
	}
	return path.String() + "Z"
}

// place is a coordinate.
func place(y float64) string { return strings.TrimSuffix(strconv.FormatFloat(y, 'f', 1, 64), ".0") }

// times are the lower drawing.
type times struct {
	Axis   axis
	Width  int
	Height int
	Shapes []shape
}

// percentiles are drawn in this order, the least important first.
var percentiles = []struct {
	class, name string
	percent     int
}{{"max", "max", 100}, {"p99", "p99", 99}, {"p50", "p50", 50}}

func drawTimes(b *bins) times {
	least, most := time.Duration(0), time.Duration(0)
	for _, bin := range b.all {
		if p50, ok := bin.rank(50); ok {
			slowest, _ := bin.rank(100)
			most = max(most, slowest)
			if least == 0 || p50 < least {
				least = p50
			}
		}
	}
	l := newLogAxis(least, most)
	t := times{Axis: l.axis, Width: len(b.all), Height: height}
	for _, p := range percentiles {
		t.Shapes = append(t.Shapes, shape{p.class, "", p.name, curve(b, l, p.percent)})
	}
	return t
}

// curve joins a percentile of each bin that has one with that of the next.
func curve(b *bins, l logAxis, percent int) string {
	var path strings.Builder
	pen := "M"
	for i := range b.all {
		took, ok := b.all[i].rank(percent)
		if !ok {
			pen = "M"
			continue
		}
		fmt.Fprintf(&path, "%s%d.5 %s", pen, i, place(height*(1-l.share(took))))
		if pen == "M" {
			path.WriteString("h0") // a lone bin is a dot
		}
		pen = "L"
	}
	return path.String()
}

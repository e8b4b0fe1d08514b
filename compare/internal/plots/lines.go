package plots

import (
	"math"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/compare/internal/report"
)

// scale maps figures to a length, by their logarithms.
type scale struct{ low, high, from, to float64 }

func (s scale) at(v float64) float64 {
	v = min(max(v, s.low), s.high)
	return s.from + (s.to-s.from)*math.Log(v/s.low)/math.Log(s.high/s.low)
}

// Latency draws a line for each tool, each in a panel of its own and all on the same
// scale: a dozen lines in one panel cannot be told apart.
func Latency(r report.Result) []byte {
	const title, columns, width, height, top = "The longest latency over the time around an upgrade (clients new and busy)", 3, 290.0, 130.0, 62.0
	tools := having(r, report.Timeline)
	if len(tools) == 0 {
		return nil
	}
	rows := (len(tools) + columns - 1) / columns
	p := newPicture(columns*width+2*margin, top+float64(rows)*height+margin, title)
	p.text(margin, 46, "0 is the signal; each point is the longest answer to a request begun in 10 ms, median of the upgrades; a red mark: requests were lost", style{size: 11, fill: grey})
	for i, tool := range tools {
		x, y := margin+width*float64(i%columns), top+height*float64(i/columns)
		panel(p, r, tool, x, y, width, height)
	}
	return p.bytes(title)
}

func panel(p *picture, r report.Result, tool string, x, y, width, height float64) {
	left, right, up, down := x+44, x+width-12, y+22, y+height-26
	value := scale{.1, 10_000, down, up}
	at := func(ms int) float64 { return left + (right-left)*float64(ms+200)/1000 }
	p.text(left, y+14, tool, style{bold: true})
	for _, tick := range []float64{.1, 1, 10, 100, 1_000, 10_000} {
		p.line(left, value.at(tick), right, value.at(tick), faint, .5)
		if tick >= 1 && tick <= 1_000 {
			p.text(left-4, value.at(tick)+3, duration(tick), style{size: 9, anchor: "end", fill: grey})
		}
	}
	for _, tick := range []int{-200, 0, 200, 400, 600, 800} {
		p.text(at(tick), down+13, report.Short(float64(tick)), style{size: 9, anchor: "middle", fill: grey})
	}
	p.line(at(0), up, at(0), down, grey, 1)
	var points []point
	for _, ms := range r.Xs(tool, "", report.Timeline) {
		figure, _ := r.Get(report.Key{Tool: tool, Metric: report.Timeline, X: ms})
		points = append(points, point{at(ms + 5), value.at(figure.Mid)})
	}
	p.polyline(points, blue)
	for _, ms := range r.Xs(tool, "", report.TimelineL) {
		p.rect(at(ms), up, at(ms+10)-at(ms), 4, red)
	}
}

// Idle draws what gozd needs for more and more idle connections: time and memory.
func Idle(r report.Result) []byte {
	const title, width, height, top = "gozd: idle connections that move", 420.0, 260.0, 40.0
	if len(having(r, report.Moved)) == 0 {
		return nil
	}
	p := newPicture(2*width+2*margin, top+height+margin, title)
	curves(p, r, margin, top, width, height, "from the signal until all have left, ms", report.MoveMS, scale{low: 1, high: 100_000})
	curves(p, r, margin+width, top, width, height, "memory of both processes, MB", report.IdleBoth, scale{low: 10, high: 10_000})
	return p.bytes(title)
}

func curves(p *picture, r report.Result, x, y, width, height float64, title, metric string, value scale) {
	left, right, up, down := x+54, x+width-16, y+26, y+height-38
	value.from, value.to = down, up
	count := scale{100, 50_000, left, right}
	p.text(left, y+14, title, style{bold: true})
	for tick := value.low; tick <= value.high; tick *= 10 {
		p.line(left, value.at(tick), right, value.at(tick), faint, 1)
		p.text(left-6, value.at(tick)+4, report.Short(tick), style{size: 11, anchor: "end", fill: grey})
	}
	for _, tick := range []float64{100, 1_000, 10_000, 50_000} {
		p.text(count.at(tick), down+16, report.Short(tick), style{size: 11, anchor: "middle", fill: grey})
	}
	p.text((left+right)/2, down+32, "connections", style{size: 11, anchor: "middle", fill: grey})
	for i, client := range []string{"http", "https"} {
		stroke := []string{blue, orange}[i]
		var points []point
		for _, n := range r.Xs("gozd", client, metric) {
			figure, _ := r.Get(report.Key{Tool: "gozd", Client: client, Metric: metric, X: n})
			points = append(points, point{count.at(float64(n)), value.at(figure.Mid)})
		}
		p.polyline(points, stroke)
		for _, at := range points {
			p.dot(at.x, at.y, 3, stroke)
		}
		p.text(left+12, up+14+16*float64(i), []string{"without TLS", "TLS"}[i], style{fill: stroke})
	}
}

package plots

import (
	"fmt"
	"math"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/compare/internal/report"
)

// All returns all pictures, by the names of their files. A picture of which there is
// no figure is not there.
func All(r report.Result) map[string][]byte {
	pictures := make(map[string][]byte)
	for name, draw := range map[string]func(report.Result) []byte{
		"failures.svg": Failures, "latency.svg": Latency, "gone.svg": Gone, "idle.svg": Idle,
	} {
		if data := draw(r); data != nil {
			pictures[name] = data
		}
	}
	return pictures
}

// having returns the tools that have that figure.
func having(r report.Result, metric string) []string {
	var names []string
	for _, name := range r.Tools() {
		for _, row := range r.Rows {
			if row.Tool == name && row.Metric == metric {
				names = append(names, name)
				break
			}
		}
	}
	return names
}

const (
	labels = 170.0 // width of the names of tools
	margin = 16.0
)

// Failures draws a table of tools and clients, coloured by how many requests were lost.
func Failures(r report.Result) []byte {
	const title, cell, row, top = "Lost requests per 1,000 clients and upgrade", 78.0, 26.0, 66.0
	tools := having(r, report.Failures)
	if len(tools) == 0 {
		return nil
	}
	p := newPicture(labels+cell*float64(len(report.Clients))+2*margin, top+row*float64(len(tools))+margin, title)
	for i, c := range report.Clients {
		p.text(margin+labels+cell*(float64(i)+.5), top-10, c[0], style{anchor: "middle", fill: grey})
	}
	for j, tool := range tools {
		y := top + row*float64(j)
		p.text(margin, y+17, tool, style{bold: tool == "gozd" || tool == "FastCGI, gozd"})
		for i, c := range report.Clients {
			x := margin + labels + cell*float64(i)
			figure, ok := r.Get(report.Key{Tool: tool, Client: c[0], Metric: report.Failures})
			fill, text := nothing, ""
			if ok {
				fill, text = heat(figure.Mid), report.Short(figure.Mid)
			}
			p.rect(x+1, y+1, cell-2, row-2, fill)
			p.text(x+cell/2, y+17, text, style{anchor: "middle"})
		}
	}
	return p.bytes(title)
}

// heat is green for 0, and from light to dark orange by orders of magnitude.
func heat(v float64) string {
	if v == 0 {
		return good
	}
	part := min(max(math.Log10(v)/3, 0), 1) // 1,000 and more are the darkest
	mix := func(light, dark float64) int { return int(math.Round(light + (dark-light)*part)) }
	return fmt.Sprintf("#%02x%02x%02x", mix(255, 255), mix(241, 129), mix(229, 102))
}

// Gone draws how long the old processes live on.
func Gone(r report.Result) []byte {
	const title, row, top, width = "From the signal until the old process has ended", 26.0, 60.0, 520.0
	tools := having(r, report.Gone)
	if len(tools) == 0 {
		return nil
	}
	p := newPicture(labels+width+90+2*margin, top+row*float64(len(tools))+36, title)
	low, high := 1.0, 100_000.0 // ms
	at := func(v float64) float64 {
		return margin + labels + width*math.Log(min(max(v, low), high)/low)/math.Log(high/low)
	}
	bottom := top + row*float64(len(tools))
	for _, tick := range []float64{1, 10, 100, 1_000, 10_000, 100_000} {
		p.line(at(tick), top-6, at(tick), bottom, faint, 1)
		p.text(at(tick), bottom+16, duration(tick), style{anchor: "middle", fill: grey, size: 11})
	}
	for j, tool := range tools {
		y := top + row*float64(j)
		figure, _ := r.Get(report.Key{Tool: tool, Metric: report.Gone})
		there, _ := r.Get(report.Key{Tool: tool, Metric: report.Lingering})
		p.text(margin, y+17, tool, style{bold: tool == "gozd" || tool == "FastCGI, gozd"})
		fill, text := blue, duration(figure.Mid)
		switch {
		case there.High > 0 && figure.Mid >= figure.High:
			fill, text = orange, "over "+text
		case there.High > 0:
			fill, text = orange, text+", and over "+duration(figure.High)
		}
		p.rect(at(low), y+5, at(figure.Mid)-at(low), row-10, fill)
		p.line(at(figure.Low), y+row/2, at(figure.High), y+row/2, ink, 1.5)
		p.text(max(at(figure.Mid), at(figure.High))+6, y+17, text, style{size: 11})
	}
	return p.bytes(title)
}

// duration writes so many milliseconds.
func duration(ms float64) string {
	if ms >= 1000 {
		return report.Short(ms/1000) + " s"
	}
	return report.Short(ms) + " ms"
}

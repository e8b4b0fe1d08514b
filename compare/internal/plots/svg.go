// Package plots draws what has been measured. The pictures are SVG with a background
// of their own, so that they can be read on light and on dark pages, and the same
// figures always give the same bytes.
package plots

import (
	"fmt"
	"html"
	"strings"
)

// The colours.
const (
	ink     = "#1f2328"
	faint   = "#d0d7de"
	grey    = "#656d76"
	good    = "#dafbe1"
	nothing = "#f6f8fa"
	blue    = "#0969da"
	orange  = "#bc4c00"
	red     = "#cf222e"
)

// picture is an SVG that grows.
type picture struct {
	body          strings.Builder
	width, height float64
}

func newPicture(width, height float64, title string) *picture {
	p := &picture{width: width, height: height}
	p.text(16, 26, title, style{size: 16, bold: true})
	return p
}

// bytes returns the file.
func (p *picture) bytes(title string) []byte {
	return fmt.Appendf(nil, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %[1]g %[2]g" width="%[1]g" height="%[2]g" role="img" font-family="-apple-system, 'Segoe UI', 'DejaVu Sans', Helvetica, Arial, sans-serif">
<title>%[3]s</title>
<rect width="%[1]g" height="%[2]g" rx="6" fill="#ffffff"/>
%[4]s</svg>
`, p.width, p.height, html.EscapeString(title), p.body.String())
}

func (p *picture) rect(x, y, w, h float64, fill string) {
	fmt.Fprintf(&p.body, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"/>\n", x, y, w, h, fill)
}

func (p *picture) line(x1, y1, x2, y2 float64, stroke string, width float64) {
	fmt.Fprintf(&p.body, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" stroke-width=\"%.1f\"/>\n", x1, y1, x2, y2, stroke, width)
}

func (p *picture) dot(x, y, r float64, fill string) {
	fmt.Fprintf(&p.body, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\" fill=\"%s\"/>\n", x, y, r, fill)
}

// point is one of a line.
type point struct{ x, y float64 }

func (p *picture) polyline(points []point, stroke string) {
	if len(points) == 0 {
		return
	}
	var list []string
	for _, at := range points {
		list = append(list, fmt.Sprintf("%.1f,%.1f", at.x, at.y))
	}
	fmt.Fprintf(&p.body, "<polyline points=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"1.5\"/>\n", strings.Join(list, " "), stroke)
}

// style is how a text looks. The zero value is left-aligned, in ink, of size 12.
type style struct {
	size   float64
	anchor string
	fill   string
	bold   bool
}

func (p *picture) text(x, y float64, text string, s style) {
	if s.size == 0 {
		s.size = 12
	}
	if s.anchor == "" {
		s.anchor = "start"
	}
	if s.fill == "" {
		s.fill = ink
	}
	weight := ""
	if s.bold {
		weight = ` font-weight="600"`
	}
	fmt.Fprintf(&p.body, "<text x=\"%.1f\" y=\"%.1f\" font-size=\"%.0f\" text-anchor=\"%s\" fill=\"%s\"%s>%s</text>\n",
		x, y, s.size, s.anchor, s.fill, weight, html.EscapeString(text))
}

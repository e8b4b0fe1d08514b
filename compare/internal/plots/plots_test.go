package plots_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/compare/internal/plots"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/compare/internal/report"
)

func example() report.Result {
	var s report.Set
	for i, tool := range []string{"loses <much> & often", "gozd"} {
		s.Add(report.Key{Tool: tool, Client: "busy", Metric: report.Failures}, float64(1234*(1-i)))
		s.Add(report.Key{Tool: tool, Metric: report.Gone}, 2500)
		s.Add(report.Key{Tool: tool, Metric: report.Lingering}, float64(i))
		for x := -200; x < 800; x += 10 {
			s.Add(report.Key{Tool: tool, Metric: report.Timeline, X: x}, float64(x+201))
		}
	}
	s.Add(report.Key{Tool: "gozd", Metric: report.TimelineL, X: 10}, 1)
	for _, n := range []int{100, 1000} {
		for _, metric := range []string{report.Moved, report.MoveMS, report.IdleBoth} {
			s.Add(report.Key{Tool: "gozd", Client: "https", Metric: metric, X: n}, float64(n))
		}
	}
	return report.Result{Rows: s.Rows(nil)}
}

func TestPicturesAreXMLAndAlwaysTheSame(t *testing.T) {
	first := plots.All(example())
	if got, want := slices.Sorted(maps.Keys(first)), []string{"failures.svg", "gone.svg", "idle.svg", "latency.svg"}; !slices.Equal(got, want) {
		t.Fatalf("pictures are %v, want %v", got, want)
	}
	for name, data := range first {
		t.Run(name, func(t *testing.T) {
			in := xml.NewDecoder(bytes.NewReader(data))
			for {
				_, err := in.Token()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if again := plots.All(example())[name]; !bytes.Equal(again, data) {
				t.Error("drawn again, it is another picture")
			}
			if strings.Contains(string(data), "NaN") || strings.Contains(string(data), "Inf") {
				t.Error("it has a figure that is none")
			}
			// Pages are light or dark; what is drawn is not.
			if !strings.Contains(string(data), `fill="#ffffff"/>`) {
				t.Error("it has no background")
			}
		})
	}
}

func TestPicturesShowTheFigures(t *testing.T) {
	pictures := plots.All(example())
	for name, want := range map[string]string{
		"failures.svg": ">1234<", "gone.svg": ">over 2.5 s<", "latency.svg": "#cf222e", "idle.svg": ">TLS<",
	} {
		if !strings.Contains(string(pictures[name]), want) {
			t.Errorf("%s has no %q", name, want)
		}
	}
}

func TestNothingIsDrawnOfNothing(t *testing.T) {
	if got := plots.All(report.Result{}); len(got) != 0 {
		t.Errorf("%d pictures of no figures", len(got))
	}
}

package server_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/server"
)

// exposition is what a text in the Prometheus format says.
type exposition struct {
	kinds   map[string]string  // of the families
	samples map[string]float64 // by name and labels, as in the text
}

// The grammar of prometheus.io/docs/instrumenting/exposition_formats, as strict as promtool
// check metrics where that is about the format.
var (
	helpLine   = regexp.MustCompile(`^# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) (\S.*)$`)
	typeLine   = regexp.MustCompile(`^# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge)$`)
	sampleLine = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"(?:,[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*")*\})? (\S+)$`)
)

// parse reads a text and returns what breaks a rule as an error.
func parse(text string) (exposition, error) {
	e := exposition{map[string]string{}, map[string]float64{}}
	if text != "" && !strings.HasSuffix(text, "\n") {
		return e, fmt.Errorf("the last line has no end")
	}
	family, help := "", ""
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if m := helpLine.FindStringSubmatch(line); m != nil {
			help = m[1]
		} else if m := typeLine.FindStringSubmatch(line); m != nil {
			if _, again := e.kinds[m[1]]; again || m[1] != help {
				return e, fmt.Errorf("%s: a second time, or not after its help", line)
			}
			if (m[2] == "counter") != strings.HasSuffix(m[1], "_total") {
				return e, fmt.Errorf("%s: counters, and only they, end in _total", line)
			}
			family, e.kinds[m[1]] = m[1], m[2]
		} else if err := e.sample(line, family); err != nil {
			return e, err
		}
	}
	return e, nil
}

func (e *exposition) sample(line, family string) error {
	m := sampleLine.FindStringSubmatch(line)
	if m == nil || m[1] != family {
		return fmt.Errorf("%q is no sample of %s", line, family)
	}
	value, err := strconv.ParseFloat(m[3], 64)
	if _, again := e.samples[m[1]+m[2]]; again || err != nil {
		return fmt.Errorf("%q: a second time, or %w", line, err)
	}
	e.samples[m[1]+m[2]] = value
	return nil
}

func TestMetrics(t *testing.T) {
	seconds := 0.25
	var text bytes.Buffer
	server.WriteMetrics(&text, &protocol.Status{
		Generation: 4,
		Generations: []protocol.Generation{
			{Generation: 3, State: protocol.Draining, Groups: []protocol.Group{{Name: "web", Open: 7, Accepted: 9, Total: protocol.Total{Accepted: 1}}}},
			{Generation: 2, State: protocol.Unresponsive},
			{Generation: 4, State: protocol.Serving, Build: protocol.Build{Module: "example.org/a", Version: "v1.2.3", Go: "go1.25"}, Groups: []protocol.Group{
				{Name: "web", Open: 5, Parked: 2, Accepted: 8, Total: protocol.Total{Accepted: 1 << 60, MovedIn: 3, MovedOut: 4, Cut: 1}, Stayed: map[string]uint64{"version": 6, "no proof": 1}},
				{Name: "a\"b\\c\nd"},
			}},
		},
		Upgrades: protocol.Upgrades{Succeeded: 3, Failed: 2, LastSeconds: &seconds},
	})
	e, err := parse(text.String())
	if err != nil {
		t.Fatalf("%v in\n%s", err, text.String())
	}
	for name, want := range map[string]float64{
		`gozd_generation`: 4,
		`gozd_build_info{generation="4",module="example.org/a",version="v1.2.3",revision="",goversion="go1.25"}`: 1,
		`gozd_state{generation="4",state="serving"}`:                                                             1,
		`gozd_state{generation="4",state="draining"}`:                                                            0,
		`gozd_state{generation="3",state="draining"}`:                                                            1,
		`gozd_state{generation="2",state="unresponsive"}`:                                                        1,
		`gozd_connections{generation="3",group="web",state="open"}`:                                              7,
		`gozd_connections{generation="4",group="web",state="open"}`:                                              3,
		`gozd_connections{generation="4",group="web",state="parked"}`:                                            2,
		`gozd_connections{generation="4",group="a\"b\\c\nd",state="parked"}`:                                     0,
		`gozd_accepted_total{group="web"}`:                                                                       1 << 60,
		`gozd_moved_in_total{group="web"}`:                                                                       3,
		`gozd_moved_out_total{group="web"}`:                                                                      4,
		`gozd_stayed_total{generation="4",group="web",reason="version"}`:                                         6,
		`gozd_stayed_total{generation="4",group="web",reason="no proof"}`:                                        1,
		`gozd_cut_total{group="web"}`:                                                                            1,
		`gozd_upgrades_total{outcome="succeeded"}`:                                                               3,
		`gozd_upgrades_total{outcome="failed"}`:                                                                  2,
		`gozd_upgrade_last_seconds`:                                                                              0.25,
	} {
		if got, there := e.samples[name]; !there || got != want {
			t.Errorf("%s = %v, %t, want %v", name, got, there, want)
		}
	}
	if strings.Contains(text.String(), `gozd_build_info{generation="2"`) {
		t.Error("a generation that has not answered has a binary")
	}
}

func TestMetricsOfAFirstGeneration(t *testing.T) {
	resp := request(t, open(t, newFake(), server.Options{}), http.MethodGet, protocol.PathMetrics, nil)
	var text bytes.Buffer
	if _, err := text.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	e, err := parse(text.String())
	if err != nil || resp.Header.Get("Content-Type") != "text/plain; version=0.0.4; charset=utf-8" {
		t.Errorf("%v, type %q", err, resp.Header.Get("Content-Type"))
	}
	if _, there := e.samples["gozd_upgrade_last_seconds"]; there || len(e.samples) == 0 {
		t.Errorf("samples %v, want none of an upgrade that was not", e.samples)
	}
}

func TestProgramsMetrics(t *testing.T) {
	resp := request(t, open(t, newFake(), server.Options{}), http.MethodGet, protocol.PathProgram, nil)
	text, err := io.ReadAll(resp.Body)
	if err != nil || string(text) != "# TYPE a counter\na 1\n" || resp.Header.Get("Content-Type") != "text/plain; version=0.0.4; charset=utf-8" {
		t.Errorf("%q, %v, type %q", text, err, resp.Header.Get("Content-Type"))
	}
}

// The parser that the test above relies on finds what is wrong.
func TestParserRefuses(t *testing.T) {
	const head = "# HELP a Help.\n# TYPE a gauge\n"
	for _, text := range []string{
		head + "a 1",
		head + "b 1\n",
		head + "a 1\na 2\n",
		head + "a{x=\"\"\"} 1\n",
		head + "a{x=\"\\x\"} 1\n",
		head + "a{x=\"1\",} one\n",
		head + head + "a 1\n",
		"# TYPE a gauge\na 1\n",
		"# HELP a Help.\n# TYPE a counter\na 1\n",
		"# HELP a_total Help.\n# TYPE a_total gauge\na_total 1\n",
	} {
		if e, err := parse(text); err == nil {
			t.Errorf("%q was taken for %v", text, e)
		}
	}
}

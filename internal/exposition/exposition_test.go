package exposition_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/exposition"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const base = `# HELP http_requests_total Requests.
# TYPE http_requests_total counter
http_requests_total{code="200",path="/a b\"}"} 5
http_requests_total{code="404"} 1e+06
# HELP open Open now.
# TYPE open gauge
open 3
# TYPE seconds histogram
seconds_bucket{le="0.5"} 1
seconds_bucket{le="+Inf"} 2
seconds_sum 0.75
seconds_count 2
# TYPE sizes summary
sizes{quantile="0.5"} 7
sizes_sum 17
sizes_count 2
untyped_thing 4
`

const older = `# HELP http_requests_total Requests, once.
# TYPE http_requests_total counter
http_requests_total{code="200",path="/a b\"}"} 7 1700000000000
http_requests_total{code="500"} 2
# TYPE open gauge
open 99
# TYPE seconds histogram
seconds_bucket{le="0.5"} 10
seconds_bucket{le="+Inf"} 20
seconds_sum 0.5
seconds_count 20
# TYPE sizes summary
sizes{quantile="0.5"} 1
sizes_sum 3
sizes_count 1
# TYPE gone_total counter
gone_total 8
# TYPE gone gauge
gone 8
untyped_thing 100
`

const sum = `# HELP http_requests_total Requests.
# TYPE http_requests_total counter
http_requests_total{code="200",path="/a b\"}"} 12
http_requests_total{code="404"} 1e+06
http_requests_total{code="500"} 2
# HELP open Open now.
# TYPE open gauge
open 3
# TYPE seconds histogram
seconds_bucket{le="0.5"} 11
seconds_bucket{le="+Inf"} 22
seconds_sum 1.25
seconds_count 22
# TYPE sizes summary
sizes{quantile="0.5"} 7
sizes_sum 20
sizes_count 3
untyped_thing 4
# TYPE gone_total counter
gone_total 8
`

func TestSum(t *testing.T) {
	if got := exposition.Sum(base, older); got != sum {
		t.Errorf("got\n%s\nwant\n%s", got, sum)
	}
	if got := exposition.Sum(base); got != base {
		t.Errorf("alone it is\n%s", got)
	}
	// In any order, and by parts, the counts are the same.
	counts := exposition.Sum("", older, base)
	if got := exposition.Sum(exposition.Counts(older), base); got != counts || strings.Contains(counts, "gauge") || strings.Contains(counts, "quantile") {
		t.Errorf("by parts\n%s\nat once\n%s", got, counts)
	}
}

// Another type under the same name is another metric.
func TestSumOfOtherTypes(t *testing.T) {
	const now = "# TYPE a gauge\na 1\n"
	if got := exposition.Sum(now, "# TYPE a counter\na 5\n"); got != now {
		t.Errorf("got %q", got)
	}
}

func TestSumOfNonsense(t *testing.T) {
	for _, nonsense := range []string{
		"", "\n\n", "a", "{", "a{", `a{b="`, `a{b="\`, "a{} x", "# TYPE", "# TYPE a", "# TYPE  counter\na 1", "# HELP", "a 1 2 3", "\x00", "# TYPE a counter\na{ 1\na}1\n a 1",
	} {
		if got := exposition.Sum(base, nonsense); got != base {
			t.Errorf("%q changes the sum:\n%s", nonsense, got)
		}
	}
	if got := exposition.Sum("# TYPE a counter\na 1\na 2\n", "# TYPE a counter\na 4\na 8\n"); got != "# TYPE a counter\na 5\na 2\n" {
		t.Errorf("of a sample that stands there twice: %q", got)
	}
}

// FuzzSum: a sum of nothing is what it was, as far as it is of the format, and what has been summed can be summed.
func FuzzSum(f *testing.F) {
	f.Add(base, older)
	f.Add("# TYPE a counter\na NaN\n", "# TYPE a counter\na{b=\"}\\\"\"} +Inf 5\n")
	f.Fuzz(func(t *testing.T, a, b string) {
		got := exposition.Sum(a, b)
		if again := exposition.Sum(got); again != got {
			t.Errorf("%q becomes %q", got, again)
		}
	})
}

func TestOf(t *testing.T) {
	got, err := exposition.Of(t.Context(), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") != "" || r.Header.Get("Accept") != exposition.Type {
			t.Errorf("asked with %v", r.Header)
		}
		_, _ = io.WriteString(w, base)
	}))
	if err != nil || got != base {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := exposition.Of(t.Context(), http.NotFoundHandler()); err == nil || !strings.Contains(err.Error(), "status 404") {
		t.Errorf("of a handler that refuses: %v", err)
	}
	for name, h := range map[string]http.HandlerFunc{"stops": endless, "says that it could not write": endlessWithStatus} {
		if _, err := exposition.Of(t.Context(), h); err == nil || !strings.Contains(err.Error(), "more than 16777216 bytes") {
			t.Errorf("of a handler that answers too much, and then %s: %v", name, err)
		}
	}
}

func endlessWithStatus(w http.ResponseWriter, r *http.Request) {
	endless(w, r)
	http.Error(w, "short write", http.StatusInternalServerError)
}

func endless(w http.ResponseWriter, _ *http.Request) {
	for {
		if _, err := w.Write(make([]byte, 64<<10)); err != nil {
			return
		}
	}
}

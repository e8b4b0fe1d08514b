package recipes

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
)

// scrape returns how many answers the program has counted, as Prometheus's own parser reads it.
func scrape(address string) (uint64, error) {
	resp, err := http.Get("http://" + address + "/metrics")
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(resp.Body)
		return 0, fmt.Errorf("%s: %s", resp.Status, text)
	}
	var parser expfmt.TextParser
	families, err := parser.TextToMetricFamilies(resp.Body)
	if err != nil {
		return 0, err
	}
	if families["gozd_generation"] == nil || families["go_goroutines"] == nil {
		return 0, fmt.Errorf("gozd's or the process's metrics are missing: %v", families)
	}
	var n uint64
	for _, metric := range families["answer_seconds"].GetMetric() {
		n += metric.GetHistogram().GetSampleCount()
	}
	return n, nil
}

// TestPrometheus has clients ask over upgrades, and a scraper beside them: no answer is missing from the sum in the end, and the sum never becomes
// smaller.
func TestPrometheus(t *testing.T) {
	r := recipe{"prometheus", nil, webGroup(web{moves: true})}
	d := r.prepare(t)
	r.start(t, d)
	address := daemontest.Target(t, d, "web").Address
	l := new(load)
	l.start(t, 4, address, web{moves: true}.ask)
	var last uint64
	for generation := 1; generation <= 10; generation++ {
		l.await(t, generation)
		upgrade(t, d)
		n, err := scrape(address)
		if err != nil || n < last {
			t.Fatalf("after %d upgrades: %d answers, before %d, %v", generation, n, last, err)
		}
		last = n
	}
	l.stop()
	if n, err := scrape(address); err != nil || int64(n) != l.total() {
		t.Errorf("%d answers of %d are counted, %v", n, l.total(), err)
	}
	http.DefaultClient.CloseIdleConnections()
	if s, err := d.Status(t.Context()); err != nil || !strings.HasSuffix(d.Binary, "prometheus") || s.Generation != 11 {
		t.Errorf("status %+v, %v", s, err)
	}
}

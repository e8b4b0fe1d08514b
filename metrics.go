package gozd

import (
	"context"
	"io"
	"net/http"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/exposition"
)

// Metrics returns a handler for a route that Prometheus asks, in its text format: gozd's own metrics, as the control socket has them, and with
// own also the program's. own is the program's handler, such as promhttp.Handler(), and nil if it has none.
//
// The answer is of all generations together, so that no request is missing from the sums: counters, histograms, and the sums and counts of
// summaries that own answers in this process, with those of the processes that drain, and of all that have ended since generation 1. Everything
// else, such as gauges, is this process's. A process that is killed leaves what it has said when it was last asked;
// if it was the one that serves, what it has counted itself is lost, as at a restart. A process that has been replaced
// asks the one that serves. If another one does not say within two seconds what it counts, the status is 503, since a smaller
// number would look like a restart.
//
// Call it once, in each generation, after [Daemonize] and before the groups are accepted on: a handler made before Daemonize always answers
// 503. The handler may be called by several goroutines at once, and so may own. Whoever may ask learns the groups' names, and versions.
// Outside Linux what a process has counted ends with it.
func Metrics(own http.Handler) http.Handler {
	if d := std.Load(); d != nil {
		return d.Metrics(own)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, ErrNotDaemonized.Error(), http.StatusServiceUnavailable)
	})
}

// Metrics returns a handler for the daemon's metrics, and the program's, as the package's [Metrics] does.
func (d *Daemon) Metrics(own http.Handler) http.Handler {
	if own != nil {
		d.engine.CountBy(func(ctx context.Context) (string, error) { return exposition.Of(ctx, own) })
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := d.engine.Metrics(r.Context())
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", exposition.Type)
		_, _ = io.WriteString(w, text)
	})
}

// Command counted counts its requests, as a program with Prometheus's client does. A request takes as many milliseconds as it says in wait, and
// one for /panic has the metrics fail from then on.
package main

import (
	"fmt"
	"log"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
)

// counter is what the program's own metrics are.
type counter struct {
	requests atomic.Uint64
	broken   atomic.Bool
}

func main() {
	exit := gozd.Daemonize()
	ln, err := gozd.Listen("web")
	if err != nil {
		log.Fatal(err)
	}
	var c counter
	routes := http.NewServeMux()
	routes.Handle("/metrics", gozd.Metrics(http.HandlerFunc(c.expose)))
	routes.HandleFunc("/", c.count)
	go func() { log.Print(httpx.Serve(ln, routes)) }()
	<-exit
}

func (c *counter) count(w http.ResponseWriter, r *http.Request) {
	if wait, err := strconv.Atoi(r.URL.Query().Get("wait")); err == nil {
		time.Sleep(time.Duration(wait) * time.Millisecond)
	}
	if r.URL.Path == "/panic" {
		c.broken.Store(true)
	}
	c.requests.Add(1)
	fmt.Fprintln(w, gozd.Generation())
}

func (c *counter) expose(w http.ResponseWriter, _ *http.Request) {
	if c.broken.Load() {
		panic("broken metrics")
	}
	fmt.Fprintf(w, "# HELP requests_total Requests.\n# TYPE requests_total counter\nrequests_total{path=\"/\"} %d\n", c.requests.Load())
	fmt.Fprintf(w, "# TYPE generation gauge\ngeneration %d\n", gozd.Generation())
}

// Command counted counts its requests, as a program with Prometheus's client does. A request takes as many milliseconds as it says in wait, and
// one for /panic, /hang or /huge has the metrics fail in that way from then on.
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
)

// counter is what the program's own metrics are.
type counter struct {
	requests atomic.Uint64
	broken   atomic.Value // of what kind, a path
}

func main() {
	exit := gozd.Daemonize()
	ln, err := gozd.Listen("web")
	if err != nil {
		log.Fatal(err)
	}
	var c counter
	c.broken.Store("")
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
	switch r.URL.Path {
	case "/panic", "/hang", "/huge":
		c.broken.Store(r.URL.Path)
	}
	c.requests.Add(1)
	fmt.Fprintln(w, gozd.Generation())
}

func (c *counter) expose(w http.ResponseWriter, _ *http.Request) {
	switch c.broken.Load() {
	case "/panic":
		panic("broken metrics")
	case "/hang":
		select {} // a mutex that nobody frees
	case "/huge": // 20 MB
		megabyte := strings.Repeat(fmt.Sprintf("requests_total{path=%q} 1\n", strings.Repeat("x", 975)), 1000)
		for range 20 {
			_, _ = io.WriteString(w, megabyte)
		}
	}
	fmt.Fprintf(w, "# HELP requests_total Requests.\n# TYPE requests_total counter\nrequests_total{path=\"/\"} %d\n", c.requests.Load())
	fmt.Fprintf(w, "# TYPE generation gauge\ngeneration %d\n", gozd.Generation())
}

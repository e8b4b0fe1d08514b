// Command prometheus is a recipe: a program's own counters, added up over all generations.
package main

import (
	"fmt"
	"log"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
)

var seconds = promauto.NewHistogramVec(prometheus.HistogramOpts{Name: "answer_seconds", Help: "Time to the answer."}, []string{"code"})

func main() {
	exit := gozd.Daemonize()
	answer := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, "generation %d\n", gozd.Generation()) })
	routes := http.NewServeMux()
	routes.Handle("/", promhttp.InstrumentHandlerDuration(seconds, answer))
	routes.Handle("/metrics", gozd.Metrics(promhttp.Handler())) // was: promhttp.Handler()
	ln, err := gozd.Listen("web")
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Print(httpx.Serve(ln, routes)) }()
	<-exit
}

// Command health has a route for load balancers and Kubernetes, which says when nobody
// should be sent here any more.
//
//	go run ./examples/health -f -v -c examples/health/app.conf
//	curl -i http://127.0.0.1:8080/healthz
package main

import (
	"log"
	"net/http"

	"github.com/gorilla/mux"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
)

func main() {
	exit := gozd.Daemonize()
	ln, err := gozd.Listen("web")
	if err != nil {
		log.Fatal(err)
	}
	router := mux.NewRouter()
	router.Handle("/healthz", httpx.Health(ln, nil))
	router.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello\n")) })
	go func() { log.Print(httpx.Serve(ln, router)) }()
	<-exit
}

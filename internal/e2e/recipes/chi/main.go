// Command chi is a recipe: a router is a handler.
package main

import (
	"fmt"
	"log"
	"net/http"

	"github.com/go-chi/chi/v5"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
)

func main() {
	exit := gozd.Daemonize()
	r := chi.NewRouter()
	r.Get("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, "generation %d\n", gozd.Generation()) })
	ln, err := gozd.Listen("web")
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Print(httpx.Serve(ln, r)) }() // was: http.ListenAndServe(":8080", r)
	<-exit
}

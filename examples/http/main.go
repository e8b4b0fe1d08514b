// Command http is a net/http program with three lines changed: Daemonize,
// gozd.Listen for net.Listen, and httpx.Serve for http.Serve.
//
//	go run ./examples/http -f -v -c examples/http/app.conf
//	curl http://127.0.0.1:8080/hello/you
//	kill -HUP $(cat /run/http.pid) # root's; another user's is in $XDG_RUNTIME_DIR
package main

import (
	"fmt"
	"log"
	"net/http"

	"github.com/gorilla/mux"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
)

func main() {
	exit := gozd.Daemonize()

	router := mux.NewRouter()
	router.HandleFunc("/hello/{name}", hello).Methods(http.MethodGet)

	ln, err := gozd.Listen("web") // was: net.Listen("tcp", ":8080")
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Print(httpx.Serve(ln, router)) }() // was: http.Serve, which works as well, but keeps connections in the old process
	<-exit
}

func hello(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "Hello, %s, from generation %d\n", mux.Vars(r)["name"], gozd.Generation())
}

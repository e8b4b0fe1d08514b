// Command http is a net/http program with two lines changed: Daemonize, and
// gozd.Listen for net.Listen.
//
//	go run ./examples/http -f -v -c examples/http/app.conf
//	curl http://127.0.0.1:8080/hello/you
//	kill -HUP $(cat /run/http.pid)
package main

import (
	"fmt"
	"log"
	"net/http"

	"github.com/gorilla/mux"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
)

func main() {
	exit := gozd.Daemonize()

	router := mux.NewRouter()
	router.HandleFunc("/hello/{name}", hello).Methods(http.MethodGet)

	ln, err := gozd.Listen("web") // was: net.Listen("tcp", ":8080")
	if err != nil {
		log.Fatal(err)
	}
	go http.Serve(ln, router) // httpx.Serve(ln, router) also moves keep-alive connections
	<-exit
}

func hello(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "Hello, %s, from generation %d\n", mux.Vars(r)["name"], gozd.Generation())
}

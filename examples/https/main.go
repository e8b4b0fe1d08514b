// Command https serves HTTPS and HTTP/2; the listener of its group speaks TLS.
//
//	go run ./examples/https -f -v -c examples/https/app.conf
//	curl --cacert examples/https/cert.pem https://localhost:8443/
//	kill -HUP $(cat /run/https.pid) # root's; another user's is in $XDG_RUNTIME_DIR
package main

import (
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/gorilla/mux"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
)

func main() {
	exit := gozd.Daemonize()

	router := mux.NewRouter()
	router.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s from generation %d\n", r.Proto, gozd.Generation())
	})

	ln, err := gozd.Listen("secure")
	if err != nil {
		log.Fatal(err)
	}
	// A program that sets timeouts brings its own http.Server.
	srv := &httpx.Server{Server: &http.Server{Handler: router, ReadHeaderTimeout: 10 * time.Second}}
	go srv.Serve(ln)
	<-exit
}

// Command fcgi serves FastCGI to a web server: fcgi.Serve with two lines changed.
//
//	go run ./examples/fcgi -f -v -c examples/fcgi/app.conf
//	nginx: location / { fastcgi_pass 127.0.0.1:9000; include fastcgi_params; }
//	kill -HUP $(cat /run/fcgi.pid) # root's; another user's is in $XDG_RUNTIME_DIR
package main

import (
	"fmt"
	"log"
	"net/http"

	"github.com/gorilla/mux"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/fcgix"
)

func main() {
	exit := gozd.Daemonize()

	router := mux.NewRouter()
	router.PathPrefix("/").HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s from generation %d\n", r.URL.Path, gozd.Generation())
	})

	ln, err := gozd.Listen("app")
	if err != nil {
		log.Fatal(err)
	}
	go fcgix.Serve(ln, router) // was: fcgi.Serve(ln, router)
	<-exit
}

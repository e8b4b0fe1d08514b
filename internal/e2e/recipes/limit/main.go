// Command limit is a recipe: at most so many connections.
package main

import (
	"fmt"
	"log"
	"net/http"

	"golang.org/x/net/netutil"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
)

func main() {
	exit := gozd.Daemonize()
	ln, err := gozd.Listen("web")
	if err != nil {
		log.Fatal(err)
	}
	go httpx.Serve(netutil.LimitListener(ln, 1000), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "generation %d\n", gozd.Generation())
	}))
	<-exit
}

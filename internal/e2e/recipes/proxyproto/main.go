// Command proxyproto is a recipe: the client's address from a load balancer.
package main

import (
	"fmt"
	"log"
	"net/http"

	"github.com/pires/go-proxyproto"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
)

func main() {
	exit := gozd.Daemonize()
	ln, err := gozd.Listen("web")
	if err != nil {
		log.Fatal(err)
	}
	go httpx.Serve(&proxyproto.Listener{Listener: ln}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "generation %d, %s\n", gozd.Generation(), r.RemoteAddr)
	}))
	<-exit
}

// Command fasthttp is a recipe: a server that gozd knows nothing of, with keep-alive.
package main

import (
	"fmt"
	"log"

	"github.com/valyala/fasthttp"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/listen"
)

func main() {
	srv := new(fasthttp.Server)
	gozd.Defaults.OnDrain = func() { srv.Shutdown() } // ends connections that are idle
	exit := gozd.Daemonize()
	ln, err := gozd.Listen("web")
	if err != nil {
		log.Fatal(err)
	}
	srv.Handler = func(ctx *fasthttp.RequestCtx) {
		if listen.IsDraining(ctx.Conn()) {
			ctx.SetConnectionClose() // the next request of this client is the new process's
		}
		fmt.Fprintf(ctx, "generation %d\n", gozd.Generation())
	}
	go func() { log.Print(srv.Serve(ln)) }() // was: srv.ListenAndServe(":8080")
	<-exit
}

package main

import (
	"fmt"
	"log"
	"net/http"
	"time"

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
	srv := &httpx.Server{Server: &http.Server{ReadHeaderTimeout: 10 * time.Second}}
	srv.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "generation %d\n", gozd.Generation())
	})
	go srv.Serve(netutil.LimitListener(ln, 1000))
	<-exit
}

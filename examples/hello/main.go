// Command hello is the program on the README's first screen, word for word.
package main

import (
	"fmt"
	"log"
	"net/http"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
)

func main() {
	exit := gozd.Daemonize()
	ln, err := gozd.Listen("web") // was: net.Listen("tcp", "127.0.0.1:8080")
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Print(httpx.Serve(ln, http.HandlerFunc(hello))) }() // was: http.Serve
	<-exit
}

func hello(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprintf(w, "Hello from generation %d\n", gozd.Generation())
}

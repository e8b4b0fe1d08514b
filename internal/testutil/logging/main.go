// Command logging is a daemon that writes a line to standard output for each request
// before it answers: what a client has got an answer to is in a log file, or has been lost.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
)

func main() {
	gozd.Defaults.OnReopen = func() { fmt.Printf("reopened generation %d\n", gozd.Generation()) }
	exit := gozd.Daemonize()
	ln, err := gozd.Listen("web")
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Print(httpx.Serve(ln, http.HandlerFunc(serve))) }()
	<-exit
}

// serve answers GET /NAME. With ?hold the answer does not end before its client leaves.
func serve(w http.ResponseWriter, r *http.Request) {
	fmt.Printf("answered %s generation %d\n", r.URL.Path[1:], gozd.Generation())
	fmt.Fprintln(w, gozd.Generation())
	if r.URL.Query().Has("hold") {
		hold(w, r)
	}
}

// hold goes on writing lines to the log until its client leaves: a generation that drains.
func hold(w http.ResponseWriter, r *http.Request) {
	w.(http.Flusher).Flush()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-tick.C:
			fmt.Fprintf(os.Stdout, "held %s %d generation %d\n", r.URL.Path[1:], n, gozd.Generation())
		case <-r.Context().Done():
			fmt.Printf("ended %s %d\n", r.URL.Path[1:], n)
			return
		}
	}
}

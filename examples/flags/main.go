// Command flags is a daemon with flags of its own names, by package flag.
//
//	go run ./examples/flags --foreground --config examples/flags/app.conf
//	go run ./examples/flags --do stop --config examples/flags/app.conf
package main

import (
	"flag"
	"fmt"
	"log"
	"net/http"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
)

func main() {
	var c gozd.Command
	flag.StringVar(&c.Action, "do", "start", "start, stop, quit, reopen or reload")
	flag.StringVar(&c.Config, "config", "app.conf", "configuration `file`")
	flag.BoolVar(&c.Foreground, "foreground", false, "stay in the foreground")
	flag.BoolVar(&c.Verbose, "verbose", false, "show what the daemon does")
	flag.BoolVar(&c.Check, "check", false, "test the configuration")
	greeting := flag.String("greeting", "Hello", "what to say") // the program's own
	flag.Parse()
	exit := gozd.Run(c)

	ln, err := gozd.Listen("web")
	if err != nil {
		log.Fatal(err)
	}
	go httpx.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "%s from generation %d\n", *greeting, gozd.Generation())
	}))
	<-exit
}

// Command gozdfcgi is gozd's FastCGI responder.
package main

import (
	"log"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/compare/app"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/fcgix"
)

func main() {
	exit := gozd.Daemonize()
	ln, err := gozd.Listen("app")
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Print(fcgix.Serve(ln, app.Handler())) }()
	<-exit
}

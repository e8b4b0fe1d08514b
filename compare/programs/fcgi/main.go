// Command fcgi is net/http/fcgi and nothing else: the deploy kills it and starts it again.
package main

import (
	"log"
	"net"
	"net/http/fcgi"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/compare/app"
)

func main() {
	ln, err := net.Listen("tcp", app.Flags().HTTP)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(fcgi.Serve(ln, app.Handler()))
}

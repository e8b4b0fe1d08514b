//go:build unix

// Command grace is gracehttp as in the demo of facebookgo/grace.
package main

import (
	"log"
	"net/http"

	"github.com/facebookgo/grace/gracehttp"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/compare/app"
)

func main() {
	o := app.Flags()
	config, err := o.TLS()
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(gracehttp.Serve(
		&http.Server{Addr: o.HTTP, Handler: app.Handler()},
		&http.Server{Addr: o.HTTPS, Handler: app.Handler(), TLSConfig: config},
	))
}

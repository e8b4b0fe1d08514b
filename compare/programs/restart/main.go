// Command restart is net/http and nothing else: the deploy kills it and starts it again.
package main

import (
	"log"
	"net/http"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/compare/app"
)

func main() {
	o := app.Flags()
	go func() { log.Fatal(http.ListenAndServeTLS(o.HTTPS, o.Cert, o.Key, app.Handler())) }()
	log.Fatal(http.ListenAndServe(o.HTTP, app.Handler()))
}

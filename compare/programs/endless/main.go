//go:build unix

// Command endless is endless as in its examples simple.go, tls.go and multi_port.go.
package main

import (
	"log"
	"sync"

	"github.com/fvbock/endless"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/compare/app"
)

func main() {
	o := app.Flags()
	var servers sync.WaitGroup
	servers.Add(2)
	go func() {
		defer servers.Done()
		log.Println(endless.ListenAndServe(o.HTTP, app.Handler()))
	}()
	go func() {
		defer servers.Done()
		secure := endless.NewServer(o.HTTPS, app.Handler())
		// Without this it would speak HTTP/1.1 only.
		config, err := o.TLS()
		if err != nil {
			log.Fatal(err)
		}
		secure.TLSConfig = config
		log.Println(secure.ListenAndServeTLS(o.Cert, o.Key))
	}()
	servers.Wait()
}

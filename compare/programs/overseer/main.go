//go:build unix

// Command overseer is the program of overseer's README with two addresses. There is
// no fetcher: a deploy replaces the binary and sends the restart signal.
package main

import (
	"log"
	"net/http"

	"github.com/jpillora/overseer"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/compare/app"
)

func main() {
	o := app.Flags()
	overseer.Run(overseer.Config{
		Required:  true,
		Addresses: []string{o.HTTP, o.HTTPS},
		Program:   func(state overseer.State) { serve(o, state) },
	})
}

// serve returns when the connections of both listeners are gone: their Close waits for that.
func serve(o app.Options, state overseer.State) {
	secure := &http.Server{Handler: app.Handler()}
	done := make(chan error)
	go func() { done <- secure.ServeTLS(state.Listeners[1], o.Cert, o.Key) }()
	log.Println(http.Serve(state.Listeners[0], app.Handler()))
	log.Println(<-done)
}

// Command gozd is the program of gozd's README with two groups.
package main

import (
	"errors"
	"log"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/compare/app"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
)

func main() {
	exit := gozd.Daemonize()
	ln, err1 := gozd.Listen("web")
	sln, err2 := gozd.Listen("secure")
	if err := errors.Join(err1, err2); err != nil {
		log.Fatal(err)
	}
	go func() { log.Print(httpx.Serve(ln, app.Handler())) }()
	go func() { log.Print(httpx.Serve(sln, app.Handler())) }()
	<-exit
}

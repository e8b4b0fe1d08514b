// Command echo is a recipe: an Echo is a handler.
package main

import (
	"fmt"
	"log"

	"github.com/labstack/echo/v4"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
)

func main() {
	exit := gozd.Daemonize()
	e := echo.New()
	e.GET("/", func(c echo.Context) error { return c.String(200, fmt.Sprintf("generation %d\n", gozd.Generation())) })
	ln, err := gozd.Listen("web")
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Print(httpx.Serve(ln, e)) }() // was: e.Start(":8080")
	<-exit
}

// Command gin is a recipe: an engine is a handler.
package main

import (
	"log"

	"github.com/gin-gonic/gin"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
)

func main() {
	exit := gozd.Daemonize()
	r := gin.New()
	r.GET("/", func(c *gin.Context) { c.String(200, "generation %d\n", gozd.Generation()) })
	ln, err := gozd.Listen("web")
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Print(httpx.Serve(ln, r)) }() // was: r.Run(":8080")
	<-exit
}

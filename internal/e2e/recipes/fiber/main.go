// Command fiber is a recipe: fasthttp's server in a framework.
package main

import (
	"log"
	"strconv"

	"github.com/gofiber/fiber/v2"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/listen"
)

func main() {
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	gozd.Defaults.OnDrain = func() { app.Shutdown() } // ends connections that are idle
	exit := gozd.Daemonize()
	ln, err := gozd.Listen("web")
	if err != nil {
		log.Fatal(err)
	}
	app.Use(func(c *fiber.Ctx) error {
		if listen.IsDraining(c.Context().Conn()) {
			c.Context().SetConnectionClose() // the next request of this client is the new process's
		}
		return c.Next()
	})
	app.Get("/", func(c *fiber.Ctx) error { return c.SendString("generation " + strconv.Itoa(gozd.Generation()) + "\n") })
	go func() { log.Print(app.Listener(ln)) }() // was: app.Listen(":8080")
	<-exit
}

// Command mqtt is a recipe: a broker by mochi-mqtt.
package main

import (
	"errors"
	"fmt"
	"log"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
)

func main() {
	broker := mqtt.New(&mqtt.Options{InlineClient: true})
	gozd.Defaults.OnDrain = func() { broker.Close() } // sends DISCONNECT to clients that are still there
	exit := gozd.Daemonize()
	ln, err := gozd.Listen("mqtt")
	if err != nil {
		log.Fatal(err)
	}
	err = errors.Join(
		broker.AddHook(new(auth.AllowHook), nil),
		broker.AddListener(listeners.NewNet("mqtt", ln)), // was: listeners.NewTCP(listeners.Config{ID: "mqtt", Address: ":1883"})
		broker.Serve(), // returns at once
		broker.Publish("generation", fmt.Append(nil, gozd.Generation()), true, 0),
	)
	if err != nil {
		log.Fatal(err)
	}
	<-exit
}

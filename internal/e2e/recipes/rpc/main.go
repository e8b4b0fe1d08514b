// Command rpc is a recipe: net/rpc.
package main

import (
	"log"
	"net/rpc"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
)

// Service has the methods that clients call.
type Service struct{}

// Generation answers the generation.
func (Service) Generation(_ struct{}, n *int) error { *n = gozd.Generation(); return nil }

func main() {
	exit := gozd.Daemonize()
	if err := rpc.Register(Service{}); err != nil {
		log.Fatal(err)
	}
	ln, err := gozd.Listen("rpc")
	if err != nil {
		log.Fatal(err)
	}
	go rpc.Accept(ln) // was: net.Listen("tcp", ":1234")
	<-exit
}

// Command redcon is a recipe: the protocol of Redis.
package main

import (
	"log"
	"strings"

	"github.com/tidwall/redcon"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
)

func main() {
	exit := gozd.Daemonize()
	ln, err := gozd.Listen("redis")
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Print(redcon.Serve(ln, answer, nil, nil)) }() // was: redcon.ListenAndServe(":6380", answer, nil, nil)
	<-exit
}

func answer(conn redcon.Conn, cmd redcon.Command) {
	switch strings.ToLower(string(cmd.Args[0])) {
	case "generation":
		conn.WriteInt(gozd.Generation())
	case "quit":
		conn.WriteString("OK")
		conn.Close()
	default:
		conn.WriteError("ERR unknown command")
	}
}

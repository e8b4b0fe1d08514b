// Command minimal is the sample program of the original gozd: one TCP handler.
//
//	go run ./examples/minimal -f -v -c examples/minimal/app.conf
//	echo hello | nc 127.0.0.1 2133
//	kill -HUP $(cat /run/minimal.pid) # root's; another user's is in $XDG_RUNTIME_DIR
package main

import (
	"io"
	"log"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
)

// serveTCP sends back what it is sent, until the client is done.
func serveTCP(conn gozd.Conn) {
	if _, err := io.Copy(conn, conn); err != nil {
		log.Printf("%s: %v", conn.RemoteAddr(), err)
	}
}

func main() {
	daemonChan := gozd.Daemonize()
	err := gozd.RegistHandler("Group0", "serveTCP", serveTCP)
	if err != nil {
		log.Fatal(err)
	}
	<-daemonChan
}

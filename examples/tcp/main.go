// Command tcp answers lines, and ends its connections after an answer when its
// generation drains.
//
//	go run ./examples/tcp -f -v -c examples/tcp/app.conf
//	nc 127.0.0.1 2134
//	kill -HUP $(cat /run/tcp.pid) # root's; another user's is in $XDG_RUNTIME_DIR
package main

import (
	"bufio"
	"fmt"
	"log"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/tcpx"
)

func main() {
	exit := gozd.Daemonize()
	ln, err := gozd.Listen("line")
	if err != nil {
		log.Fatal(err)
	}
	go tcpx.Serve(ln, serve)
	<-exit
}

// serve answers lines. When this generation drains it ends the connection after
// the next answer, so that a line that is on its way is not lost.
func serve(conn gozd.Conn) {
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		fmt.Fprintf(conn, "generation %d: %s\n", gozd.Generation(), lines.Text())
		select {
		case <-conn.Draining():
			return
		default:
		}
	}
}

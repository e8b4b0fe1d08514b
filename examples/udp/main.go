// Command udp answers datagrams. Each is read by one generation, so nothing is lost and nothing answered twice.
//
//	go run ./examples/udp -f -v -c examples/udp/app.conf
//	echo hello | nc -u -w 1 127.0.0.1 2135
//	kill -HUP $(cat /run/udp.pid) # root's; another user's is in $XDG_RUNTIME_DIR
package main

import (
	"fmt"
	"log"
	"net"
	"time"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
)

func main() {
	exit := gozd.Daemonize()
	conn, err := gozd.ListenPacket("echo") // was: net.ListenPacket("udp", "127.0.0.1:2135")
	if err != nil {
		log.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		serve(conn)
	}()
	<-exit
	_ = conn.SetReadDeadline(time.Now()) // end the loop, but answer what it has read
	<-done
}

// serve answers until the daemon ends: while it drains, ReadFrom waits.
func serve(conn net.PacketConn) {
	b := make([]byte, 64<<10)
	for {
		n, from, err := conn.ReadFrom(b)
		if err != nil {
			return
		}
		if _, err := conn.WriteTo(fmt.Appendf(nil, "generation %d: %s", gozd.Generation(), b[:n]), from); err != nil {
			log.Print(err)
		}
	}
}

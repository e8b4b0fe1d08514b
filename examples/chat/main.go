// Command chat is a line protocol with state: nicks, rooms, counters. Its users stay
// connected, in their rooms, over any number of upgrades.
//
//	go run ./examples/chat -f -v -c examples/chat/app.conf
//	nc 127.0.0.1 2135
//	kill -HUP $(cat /run/chat.pid) # root's; another user's is in $XDG_RUNTIME_DIR
//
// When a generation drains, all of its users stop at a line's boundary before the
// first of them leaves (hall.hush): what was said here has reached everyone, and
// what is not read yet is read by the next generation. Each takes along who else is
// in the room, so that the next generation shows those who are still on their way,
// and keeps for them what is said (hall.expect). So nobody misses a line, but for
// two cases. A user whom the next generation does not take, for want of
// descriptors, stays behind with those who stay. And if that generation is itself
// replaced before someone has arrived, within milliseconds, he misses what was said
// there meanwhile.
package main

import (
	"log"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/tcpx"
)

func main() {
	exit := gozd.Daemonize()
	ln, err := gozd.Listen("chat")
	if err != nil {
		log.Fatal(err)
	}
	go tcpx.Serve(ln, newHall(gozd.Generation()).serve)
	<-exit
}

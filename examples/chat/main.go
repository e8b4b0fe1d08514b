// Command chat is a line protocol with state: nicks, rooms, counters. Its users stay
// connected, in their rooms, over any number of upgrades.
//
//	go run ./examples/chat -f -v -c examples/chat/app.conf
//	nc 127.0.0.1 2135
//	kill -HUP $(cat /run/chat.pid) # root's; another user's is in $XDG_RUNTIME_DIR
//
// At http://127.0.0.1:2136/ browsers enter the same rooms by WebSockets, which move as well: see serveSocket. A group secure is the same over TLS.
//
// When a generation drains, all of its users stop at a line's boundary before the
// first of them leaves (hall.hush): what was said here has reached everyone, and
// what is not read yet is read by the next generation. Each takes along who else is
// in the room, so that the next generation shows those who are still on their way,
// and keeps for them what is said (hall.expect). So nobody misses a line, but for
// three cases. Who is in the middle of sending a message over a WebSocket for longer than a second stays until it
// is complete. A user whom the next generation does not take, for want of
// descriptors, stays behind with those who stay. And if that generation is itself
// replaced before someone has arrived, within milliseconds, he misses what was said
// there meanwhile. Who does not read from his WebSocket for five seconds is disconnected.
package main

import (
	"errors"
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
	h := newHall(gozd.Generation())
	go tcpx.Serve(ln, h.serve)
	for _, group := range []string{"web", "secure"} {
		ln, err := gozd.Listen(group)
		if errors.Is(err, gozd.ErrUnknownGroup) {
			continue // the configuration need not have it
		}
		if err != nil {
			log.Fatal(err)
		}
		go h.serveWeb(ln)
	}
	<-exit
}

// Command bolt counts in a file that only one process can have open: each generation
// lets go of it as soon as it is replaced, and no request notices.
//
//	go run ./examples/bolt -f -v -c examples/bolt/app.conf
//	curl -d "" http://127.0.0.1:8085/count/apples
//	kill -HUP $(cat /run/bolt.pid) # root's; another user's is in $XDG_RUNTIME_DIR
package main

import (
	"flag"
	"log"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
)

func main() {
	path := flag.String("db", "count.db", "bolt `file`")
	counts := newStore()
	gozd.Defaults.OnReplaced = counts.release
	exit := gozd.Daemonize()

	go counts.open(*path) // waits for the generation before this one
	ln, err := gozd.Listen("web")
	if err != nil {
		log.Fatal(err)
	}
	go httpx.Serve(ln, newHandler(counts, ln.Addr()))
	<-exit
	counts.release() // also after a stop; and nothing is cut off
}
